"""What features of a layer are like: their dimension, their classes, and what they share."""

import numpy as np
from jaxtyping import Float, Int

from dl_jax.errors import UsageError


def participation_ratio(features: Float[np.ndarray, "examples features"]) -> float:
    """The number of directions in which features vary: `(sum l_i)^2 / sum l_i^2`.

    The `l_i` are the eigenvalues of their covariance. It is 1 where features vary along one line,
    and their number where they vary alike in all directions.

    Raises:
        UsageError: there are fewer than two examples, or they are all the same.

    Source: Gao et al. (2017), "A theory of multineuronal dimensionality, dynamics and measurement".
    """
    x = _centered(features)
    # The trace of the covariance, and of its square by the smaller of the two Gram matrices.
    gram = x @ x.T if len(x) < x.shape[1] else x.T @ x
    squared = (gram**2).sum()
    if squared == 0:
        raise UsageError("all examples have the same features: they vary in no direction")
    return float(np.trace(gram) ** 2 / squared)


def nearest_class_mean_accuracy(
    features: Float[np.ndarray, "examples features"],
    labels: Int[np.ndarray, " examples"],
    test_features: Float[np.ndarray, "tests features"],
    test_labels: Int[np.ndarray, " tests"],
) -> float:
    """Share of test examples whose nearest class mean, of the other examples, is their own.

    Raises:
        UsageError: there are no examples.

    Source: Mensink et al. (2013), "Distance-based image classification", equation 1.
    """
    if not len(labels) or not len(test_labels):
        raise UsageError("there are no examples, expected some to learn from and some to test")
    classes = np.unique(labels)
    means = np.stack([features[labels == c].mean(0, dtype=np.float64) for c in classes])
    # |x - m|^2 without |x|^2, which is the same for all means.
    distances = (means**2).sum(-1) - 2 * np.asarray(test_features, np.float64) @ means.T
    return float((classes[distances.argmin(-1)] == test_labels).mean())


def linear_cka(
    a: Float[np.ndarray, "examples features_a"], b: Float[np.ndarray, "examples features_b"]
) -> float:
    """Centered kernel alignment of two layers' features of the same examples, in [0, 1].

    `|a^T b|^2 / (|a^T a| |b^T b|)` of centered features: 1 where one is the other rotated and
    scaled, near 0 where they have nothing in common. With fewer examples than features it is biased
    upwards.

    Raises:
        UsageError: numbers of examples differ, there are fewer than two, or features do not vary.

    Source: Kornblith et al. (2019), arXiv:1905.00414, equation 4.
    """
    if len(a) != len(b):
        raise UsageError(f"there are {len(a)} and {len(b)} examples, expected the same ones")
    x, y = _centered(a), _centered(b)
    norms = np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)
    if norms == 0:
        raise UsageError("all examples have the same features: they vary in no direction")
    return float(np.linalg.norm(x.T @ y) ** 2 / norms)


def _centered(features: Float[np.ndarray, "examples features"]) -> np.ndarray:
    if len(features) < 2:
        raise UsageError(f"there are features of {len(features)} examples, expected at least two")
    x = np.asarray(features, np.float64)
    return x - x.mean(0)
