"""Points in the plane with two labels, drawn from a formula: problems that can be plotted."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dl_jax.data.dataset import Dataset
from dl_jax.data.splits import SPLITS
from dl_jax.errors import check_choice, check_integer, check_range

Draw = Callable[[np.random.Generator, int], tuple[NDArray, NDArray]]


def xor(random: np.random.Generator, count: int) -> tuple[NDArray, NDArray]:
    """A square whose quarters have alternating labels: no line separates them."""
    points = random.choice([-1, 1], (count, 2)) * random.uniform(0.08, 1, (count, 2))
    return points, points[:, 0] * points[:, 1] < 0


def swiss_roll(random: np.random.Generator, count: int) -> tuple[NDArray, NDArray]:
    """One spiral: its inner half has one label, its outer half the other."""
    turn = np.sqrt(random.uniform(0.04, 1, count))  # uniform along the spiral
    angle = 4 * np.pi * turn
    return turn[:, None] * _directions(angle), turn > np.sqrt(0.52)


def spirals(random: np.random.Generator, count: int) -> tuple[NDArray, NDArray]:
    """Two spirals, one inside the other."""
    labels = random.integers(0, 2, count)
    turn = np.sqrt(random.uniform(0.02, 1, count))
    return turn[:, None] * _directions(3 * np.pi * turn + np.pi * labels), labels


def moons(random: np.random.Generator, count: int) -> tuple[NDArray, NDArray]:
    """Two interleaved half circles."""
    labels = random.integers(0, 2, count)
    angle = random.uniform(0, np.pi, count) + np.pi * labels
    centers = np.where(labels[:, None] == 1, [0.5, 0.25], [-0.5, -0.25])
    return 0.6 * _directions(angle) + 0.6 * centers, labels


def circles(random: np.random.Generator, count: int) -> tuple[NDArray, NDArray]:
    """Two concentric circles."""
    labels = random.integers(0, 2, count)
    radius = np.where(labels == 1, 0.4, 0.9)
    return radius[:, None] * _directions(random.uniform(0, 2 * np.pi, count)), labels


def blobs(random: np.random.Generator, count: int) -> tuple[NDArray, NDArray]:
    """Two Gaussian blobs that a line separates almost."""
    labels = random.integers(0, 2, count)
    centers = np.where(labels[:, None] == 1, [0.4, 0.4], [-0.4, -0.4])
    return random.normal(centers, 0.22), labels


TOYS: dict[str, Draw] = {
    "xor": xor, "swiss_roll": swiss_roll, "spirals": spirals, "moons": moons,
    "circles": circles, "blobs": blobs,
}  # fmt: skip
MAX_NOISE = 1e3


def toy(
    name: str, split: str, num_examples: int = 1000, *, noise: float = 0.02, seed: int = 0
) -> Dataset:
    """Points of one split of a toy problem, about in `[-1, 1]`.

    Args:
        name: `xor`, `swiss_roll`, `spirals`, `moons`, `circles` or `blobs`.
        split: `train`, `validation` or `test`; each is drawn independently.
        num_examples: number of points.
        noise: standard deviation of the Gaussian noise added to each coordinate; labels do not
            change.
        seed: of the random points; all splits have it in common.

    Returns:
        A dataset with the features `point`, float32 `[examples, 2]`, and `label`, 0 or 1.

    Raises:
        UsageError: the name or split is unknown, the noise is negative or not finite, or there
            are no examples.
    """
    check_choice("dataset", name, TOYS)
    check_choice("split", split, SPLITS)
    check_integer("num_examples", num_examples, low=1)
    check_integer("seed", seed, low=0, high=None)
    check_range("noise", noise, low=0, high=MAX_NOISE)
    random = np.random.default_rng([seed, SPLITS.index(split), sorted(TOYS).index(name)])
    points, labels = TOYS[name](random, num_examples)
    points = points + random.normal(0, 1, points.shape) * noise
    arrays = {"point": points.astype(np.float32), "label": labels.astype(np.int32)}
    return Dataset(name, split, arrays)


def toy_splits(name: str, num_examples: int = 1000, **options) -> dict[str, Dataset]:
    """All three splits, of `num_examples` points each; the options are those of `toy`."""
    return {split: toy(name, split, num_examples, **options) for split in SPLITS}


def _directions(angle: NDArray) -> NDArray:
    """Unit vectors `[count, 2]`."""
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)
