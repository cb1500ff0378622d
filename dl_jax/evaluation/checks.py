"""Checks of the arguments of evaluation: labels, probabilities and their shapes."""

import numpy as np
from jaxtyping import Shaped


def check_labels(name: str, labels: Shaped[np.ndarray, "..."], num_classes: int) -> None:
    """Raise unless `labels` is a non-empty vector of integers in [0, num_classes).

    Raises:
        ValueError: names the array, its value and what was expected.
    """
    if labels.ndim != 1 or labels.size == 0 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"{name} are {labels.dtype} of shape {labels.shape}, expected a vector of at least one "
            "integer"
        )
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"{name} lie in [{labels.min()}, {labels.max()}], expected class indices from 0 to "
            f"{num_classes - 1}"
        )


def check_probabilities(
    probabilities: Shaped[np.ndarray, "..."], labels: Shaped[np.ndarray, "..."]
) -> None:
    """Raise unless `probabilities` is `[examples, classes]` with rows that sum to 1.

    Raises:
        ValueError: the shapes do not match, or a row is not a distribution (logits, for example).
    """
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        raise ValueError(
            f"probabilities of shape {probabilities.shape} do not match labels of shape "
            f"{labels.shape}: expected [examples, classes] and [examples], of one replica"
        )
    check_labels("labels", labels, probabilities.shape[1])
    # Half-precision rows of many classes sum to 1 within about a hundredth.
    sums = probabilities.sum(-1, dtype=np.float64)
    # Negated, so that NaN fails.
    if not (probabilities.min() >= 0 and np.abs(sums - 1).max() <= 1e-2):
        raise ValueError(
            f"probabilities have a minimum of {probabilities.min():.3g} and rows that sum to "
            f"{sums.min():.3g} .. {sums.max():.3g}, expected distributions: convert logits with "
            "`to_probabilities` first"
        )
