"""What evaluation accepts: labels that belong to the predictions, probabilities that are such."""

import numpy as np
from jaxtyping import Shaped


def check_labels(name: str, labels: Shaped[np.ndarray, "..."], num_classes: int) -> None:
    """Nothing if `labels` is a non-empty vector of integers in [0, num_classes).

    Raises:
        ValueError: names the array, what it is and what was expected.
    """
    if labels.ndim != 1 or labels.size == 0 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"{name} are {labels.dtype} of shape {labels.shape}, expected one integer for each of "
            "at least one example"
        )
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"{name} lie in [{labels.min()}, {labels.max()}], expected class indices from 0 to "
            f"{num_classes - 1}"
        )


def check_scores(scores: Shaped[np.ndarray, "..."], labels: Shaped[np.ndarray, "..."]) -> None:
    """Nothing if `scores` is `[*runs, examples, classes]` and `labels` is `[examples]`.

    Raises:
        ValueError: says which shapes do not fit together.
    """
    if scores.ndim < 2 or labels.ndim != 1 or scores.shape[-2] != labels.shape[0]:
        raise ValueError(
            f"predictions of shape {scores.shape} do not fit labels of shape {labels.shape}: "
            "expected [*runs, examples, classes] and [examples]"
        )
    check_labels("labels", labels, scores.shape[-1])


def check_probabilities(
    probabilities: Shaped[np.ndarray, "..."], labels: Shaped[np.ndarray, "..."]
) -> None:
    """Nothing if `probabilities` is `[examples, classes]`, each row a distribution, with labels.

    Raises:
        ValueError: the shapes do not fit together, or a row is no distribution (such as logits).
    """
    if probabilities.ndim != 2:
        raise ValueError(
            f"probabilities have shape {probabilities.shape}, expected [examples, classes] of one "
            "run"
        )
    check_scores(probabilities, labels)
    # Half-precision rows of many classes sum to 1 within about a hundredth.
    sums = probabilities.sum(-1, dtype=np.float64)
    # Written so that NaN fails.
    if not (probabilities.min() >= 0 and np.abs(sums - 1).max() <= 1e-2):
        raise ValueError(
            f"probabilities have a least value of {probabilities.min():.3g} and rows that sum to "
            f"{sums.min():.3g} .. {sums.max():.3g}, expected distributions: pass logits through "
            "`to_probabilities` first"
        )
