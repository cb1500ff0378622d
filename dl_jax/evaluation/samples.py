"""How good samples of a generator are, beside real examples: by features, classes and neighbors."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from dl_jax.errors import UsageError, check_integer, check_range

Reals = Float[np.ndarray, "reals features"]
Fakes = Float[np.ndarray, "fakes fake_features"]
CHUNK = 128
"""Points whose distances to all examples are in memory at once."""


class SamplePrecisionRecall(NamedTuple):
    """How much of what is sampled is real, and how much of what is real is sampled.

    Attributes:
        precision: share of the samples that lie among real examples.
        recall: share of the real examples that lie among samples.
    """

    precision: float
    recall: float


def frechet_distance(real: Reals, fake: Fakes) -> float:
    """The squared Frechet distance of two normal distributions, fitted to features.

    `|m - n|^2 + tr(A + B - 2 (A^(1/2) B A^(1/2))^(1/2))` of means `m`, `n` and covariances `A`,
    `B`. Smaller is better; with fewer examples it is larger.

    Args:
        real: features of real examples.
        fake: features of samples.

    Raises:
        UsageError: there are fewer than two of one, or they have other features.

    Source: Heusel et al. (2017), arXiv:1706.08500, equation 6; Dowson and Landau (1982).
    """
    _check_alike(real, fake)
    (m, a), (n, b) = _moments(real), _moments(fake)
    root = _square_root(a)
    # The eigenvalues of A B are those of a symmetric matrix, none of them negative but by rounding.
    values = np.linalg.eigvalsh(root @ b @ root)
    trace = np.trace(a) + np.trace(b) - 2 * np.sqrt(np.maximum(values, 0)).sum()
    return float(((m - n) ** 2).sum() + trace)


def sliced_wasserstein(real: Reals, fake: Fakes, directions: int = 64, seed: int = 0) -> float:
    """The mean Wasserstein-1 distance of both, projected onto random directions.

    Of numbers on a line, it is the mean distance of the sorted ones. Smaller is better; of two
    draws of one distribution it is not quite 0.

    Args:
        real: examples.
        fake: as many samples.
        directions: random unit vectors.
        seed: of the directions.

    Raises:
        UsageError: there are more of one, they have other features, or there are no directions.

    Source: Rabin et al. (2011), "Wasserstein barycenter and its application to texture mixing";
    Bonneel et al. (2015), "Sliced and Radon Wasserstein barycenters of measures", definition 6.
    """
    check_integer("directions", directions, low=1)
    _check_alike(real, fake)
    if len(real) != len(fake):
        raise UsageError(
            f"there are {len(real)} examples and {len(fake)} samples, expected as many of both"
        )
    drawn = np.random.default_rng(seed).normal(size=(real.shape[1], directions))
    drawn /= np.linalg.norm(drawn, axis=0)
    a, b = (np.sort(np.asarray(each, np.float64) @ drawn, axis=0) for each in (real, fake))
    return float(np.abs(a - b).mean())


def inception_score(probabilities: Float[np.ndarray, "examples classes"]) -> float:
    """`exp(mean KL(p(class | sample) || p(class)))`: sure of each sample, and of different ones.

    From 1 to the number of classes. The classifier decides what it means.

    Raises:
        UsageError: there is no sample, or its probabilities are none.

    Source: Salimans et al. (2016), arXiv:1606.03498, section 4.
    """
    p = np.asarray(probabilities, np.float64)
    if p.ndim != 2 or not len(p) or (p < 0).any() or not np.allclose(p.sum(-1), 1, atol=1e-3):
        raise UsageError(
            f"probabilities have shape {p.shape}, expected [samples, classes], each row with the "
            "sum 1"
        )
    marginal = p.mean(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * (np.log(p) - np.log(marginal)), 0)
    return float(np.exp(terms.sum(-1).mean()))


def sample_precision_recall(real: Reals, fake: Fakes, neighbors: int = 3) -> SamplePrecisionRecall:
    """Whether samples lie among real examples, and these among samples.

    A point lies among others if it is no further from one of them than that one's own neighbor, the
    `neighbors`-th nearest of its kind.

    Args:
        real: features of real examples.
        fake: features of samples.
        neighbors: which neighbor is the radius.

    Raises:
        UsageError: there are no more than `neighbors` of one, or they have other features.

    Source: Kynkaanniemi et al. (2019), arXiv:1904.06991, equation 1.
    """
    check_integer("neighbors", neighbors, low=1)
    _check_alike(real, fake, least=neighbors + 1)

    a, b = np.asarray(real, np.float64), np.asarray(fake, np.float64)

    def radii(points: NDArray) -> NDArray:
        # Its own distance of 0 is the first.
        return np.partition(_squared_distances(points, points), neighbors, axis=1)[:, neighbors]

    between = _squared_distances(a, b)
    precision = (between <= radii(a)[:, None]).any(0).mean()
    recall = (between <= radii(b)).any(1).mean()
    return SamplePrecisionRecall(float(precision), float(recall))


def nearest_examples(
    points: Fakes, examples: Reals
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each point the index of the nearest example, and its distance.

    Raises:
        UsageError: there are no examples, or they have other features.
    """
    _check_alike(points, examples, least=1)
    known, index, distance = np.asarray(examples, float), [], []
    for start in range(0, len(points), CHUNK):  # all distances at once would fill the memory
        squared = _squared_distances(np.asarray(points[start : start + CHUNK], float), known)
        index.append(squared.argmin(1))
        distance.append(np.sqrt(squared.min(1)))
    return np.concatenate(index), np.concatenate(distance)


def modes_covered(
    points: Float[np.ndarray, "samples 2"],
    centers: Float[np.ndarray, "modes 2"],
    radius: float,
    least: int = 20,
) -> tuple[int, float]:
    """How many modes have at least `least` samples within `radius`, and the share of such samples.

    Each sample counts for the nearest mode alone.

    Raises:
        UsageError: a number is out of range, or there are no samples or modes.

    Source: Srivastava et al. (2017), arXiv:1705.07761, section 4.1.
    """
    check_range("radius", radius, low=0, exclusive_low=True)
    check_integer("least", least, low=1)
    nearest, distances = nearest_examples(points, centers)
    near = distances <= radius
    counts = np.bincount(nearest[near], minlength=len(centers))
    return int((counts >= least).sum()), float(near.mean())


def _moments(features: NDArray) -> tuple[NDArray, NDArray]:
    x = np.asarray(features, np.float64)
    return x.mean(0), np.atleast_2d(np.cov(x, rowvar=False))


def _square_root(matrix: NDArray) -> NDArray:
    """Of a symmetric matrix without negative eigenvalues."""
    values, vectors = np.linalg.eigh(matrix)
    return vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T


def _squared_distances(a: NDArray, b: NDArray) -> NDArray:
    """`[len(a), len(b)]`; exactly 0 of a point to itself where both are the same array."""
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    if a is b:
        np.fill_diagonal(squared, 0)
    return np.maximum(squared, 0)


def _check_alike(real: Reals, fake: Fakes, least: int = 2) -> None:
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        raise UsageError(
            f"features have shapes {real.shape} and {fake.shape}, expected [examples, features], "
            "as many features of both"
        )
    if min(len(real), len(fake)) < least:
        raise UsageError(
            f"there are features of {len(real)} and {len(fake)} examples, expected at least "
            f"{least} of each"
        )
