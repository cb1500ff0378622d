"""The confusion matrix, and precision and recall per class."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer

from dl_jax.evaluation.checks import check_labels


class PrecisionRecall(NamedTuple):
    """Metrics per class; all arrays are `[classes]`.

    precision: share of the predictions of a class that are correct.
    recall: share of the examples of a class that are predicted as it.
    f1: harmonic mean of precision and recall.
    support: number of examples of a class.
    """

    precision: Float[np.ndarray, " classes"]
    recall: Float[np.ndarray, " classes"]
    f1: Float[np.ndarray, " classes"]
    support: Integer[np.ndarray, " classes"]


def confusion_matrix(
    labels: Integer[np.ndarray, " examples"],
    predictions: Integer[np.ndarray, " examples"],
    num_classes: int,
) -> Integer[np.ndarray, "{num_classes} {num_classes}"]:
    """`C[i, j]`, the number of examples of class `i` predicted as class `j`.

    Raises:
        ValueError: the shapes differ, or a label or prediction is not a class index.

    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    if labels.shape != predictions.shape:
        raise ValueError(
            f"labels of shape {labels.shape} do not match predictions of shape {predictions.shape}"
            ": expected one of each per example"
        )
    check_labels("labels", labels, num_classes)
    check_labels("predictions", predictions, num_classes)
    # int64 first: the cell index may not fit in the labels' type, such as uint8.
    cells = labels.astype(np.int64) * num_classes + predictions.astype(np.int64)
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def precision_recall(confusion: Integer[np.ndarray, "classes classes"]) -> PrecisionRecall:
    """Precision, recall, F1 and support of each class.

    `precision[c] = C[c, c] / sum_i C[i, c]`, `recall[c] = C[c, c] / sum_j C[c, j]` and
    `f1 = 2 precision recall / (precision + recall)`; 0 / 0 is 0 (a class that is
    never predicted, or has no examples).

    Raises:
        ValueError: the matrix is not square, or holds something other than counts.

    Source: van Rijsbergen (1979), "Information Retrieval", chapter 7.
    """
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1] or confusion.size == 0:
        raise ValueError(
            f"the confusion matrix has shape {confusion.shape}, expected [classes, classes]"
        )
    if not (np.isfinite(confusion).all() and confusion.min() >= 0):
        raise ValueError(
            f"the confusion matrix holds {confusion.min()} .. {confusion.max()}, expected counts"
        )
    hits, predicted, support = confusion.diagonal(), confusion.sum(0), confusion.sum(1)

    def ratio(part: np.ndarray, whole: np.ndarray) -> Float[np.ndarray, " classes"]:
        return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)

    # F1 from counts: 0 / 0 only for a class with neither examples nor predictions.
    return PrecisionRecall(
        precision=ratio(hits, predicted),
        recall=ratio(hits, support),
        f1=ratio(2 * hits, predicted + support),
        support=support,
    )
