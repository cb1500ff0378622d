"""How much a linear classifier can read from features: multinomial logistic regression."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from dl_jax.errors import UsageError, check_integer, check_range


class LinearProbe(NamedTuple):
    """A linear classifier of standardized features.

    Attributes:
        kernel: `[features, classes]`.
        bias: `[classes]`.
        mean: of each feature, over the examples that it was fitted to.
        std: standard deviation of each feature.
    """

    kernel: NDArray[np.float64]
    bias: NDArray[np.float64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    def logits(self, features: Float[np.ndarray, "examples features"]) -> NDArray[np.float64]:
        """Scores of the classes, `[examples, classes]`."""
        return (features - self.mean) / self.std @ self.kernel + self.bias

    def accuracy(
        self, features: Float[np.ndarray, "examples features"], labels: Int[np.ndarray, " examples"]
    ) -> float:
        """Share of examples whose label has the largest score."""
        return float((self.logits(features).argmax(-1) == labels).mean())


def probe_accuracy(
    features: Mapping[str, Float[np.ndarray, "_ features"]],
    labels: Mapping[str, Int[np.ndarray, " _"]],
    num_classes: int,
    *,
    penalties: Sequence[float] = (1e-4, 1e-2),
) -> float:
    """Test accuracy of a linear probe whose penalty was chosen on the validation split.

    Args:
        features: under `train`, `validation` and `test`.
        labels: likewise.
        num_classes: that labels count.
        penalties: to choose from.

    Raises:
        UsageError: there is no penalty; and as for `fit_linear_probe`.
    """
    if not penalties:
        raise UsageError("there are no penalties, expected at least one")
    fitted = [
        fit_linear_probe(features["train"], labels["train"], num_classes, penalty=penalty)
        for penalty in penalties
    ]
    scores = [probe.accuracy(features["validation"], labels["validation"]) for probe in fitted]
    return fitted[int(np.argmax(scores))].accuracy(features["test"], labels["test"])


def fit_linear_probe(
    features: Float[np.ndarray, "examples features"],
    labels: Int[np.ndarray, " examples"],
    num_classes: int,
    *,
    penalty: float = 1e-3,
    max_iterations: int = 500,
) -> LinearProbe:
    """Fit a linear classifier: mean cross-entropy plus `penalty / 2` times the squared kernel.

    Features are standardized first; those that do not vary count for nothing. The objective is
    convex and is minimized by L-BFGS, so that the result depends on nothing else.

    Args:
        features: of each example.
        labels: of each example, from 0.
        num_classes: that labels count.
        penalty: on the kernel, not on the bias.
        max_iterations: of the minimization.

    Raises:
        UsageError: numbers of examples differ, there are none, a label is no class, a feature is
            not finite, or a number is out of range.

    Source: Alain and Bengio (2016), arXiv:1610.01644.
    """
    from scipy.optimize import minimize  # imported here: it takes half a second

    check_integer("num_classes", num_classes, low=1)
    check_range("penalty", penalty, low=0)
    if len(features) != len(labels) or not len(labels):
        raise UsageError(
            f"there are {len(features)} features and {len(labels)} labels, expected as many, and "
            "at least one"
        )
    if labels.min() < 0 or labels.max() >= num_classes:
        raise UsageError(
            f"labels are {labels.min()} to {labels.max()}, expected 0 to {num_classes - 1}"
        )
    if not np.isfinite(features).all():
        raise UsageError("features are not all finite: nothing can be read from them")
    x = np.asarray(features, np.float64)
    mean, std = x.mean(0), x.std(0)
    std = np.where(std > 1e-12 * np.maximum(1, np.abs(mean)), std, np.inf)
    x = (x - mean) / std
    rows, shape = np.arange(len(x)), (x.shape[1] + 1, num_classes)

    def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        kernel, bias = flat.reshape(shape)[:-1], flat.reshape(shape)[-1]
        logits = x @ kernel + bias
        logits -= logits.max(-1, keepdims=True)
        sums = np.exp(logits).sum(-1)
        loss = (np.log(sums) - logits[rows, labels]).mean() + penalty / 2 * (kernel**2).sum()
        error = np.exp(logits) / sums[:, None]  # d loss / d logits, times the examples
        error[rows, labels] -= 1
        gradient = np.vstack([x.T @ error / len(x) + penalty * kernel, error.mean(0)])
        return loss, gradient.ravel()

    found = minimize(
        objective, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B",
        options={"maxiter": max_iterations, "ftol": 1e-12, "gtol": 1e-7},
    )  # fmt: skip
    solved = found.x.reshape(shape)
    return LinearProbe(solved[:-1], solved[-1], mean, std)
