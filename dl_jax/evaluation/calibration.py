"""Calibration: whether predictions made with confidence 0.8 are correct eight times in ten."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer

from dl_jax.evaluation.checks import check_probabilities


class Reliability(NamedTuple):
    """Predictions binned by their confidence, the probability of the predicted class.

    edges: boundaries of the bins; bin `m` is `(edges[m], edges[m + 1]]`.
    confidence: mean confidence in each bin, NaN if it is empty.
    accuracy: share of correct predictions in each bin, NaN if it is empty.
    counts: number of predictions in each bin.
    """

    edges: Float[np.ndarray, " bins+1"]
    confidence: Float[np.ndarray, " bins"]
    accuracy: Float[np.ndarray, " bins"]
    counts: Integer[np.ndarray, " bins"]

    @property
    def error(self) -> float:
        """Expected calibration error, `sum_m counts[m] / n |accuracy[m] - confidence[m]|`."""
        gaps = np.where(self.counts > 0, np.abs(self.accuracy - self.confidence), 0)
        return float((self.counts * gaps).sum() / self.counts.sum())


def reliability(
    probabilities: Float[np.ndarray, "examples classes"],
    labels: Integer[np.ndarray, " examples"],
    bins: int = 15,
) -> Reliability:
    """Predictions in bins of confidence of equal width over [0, 1], as for a reliability diagram.

    Raises:
        ValueError: the shapes do not match, a row is not a distribution, or `bins` < 1.

    Source: Guo et al. (2017), arXiv:1706.04599, section 2.
    """
    check_probabilities(probabilities, labels)
    if bins < 1:
        raise ValueError(f"bins is {bins}, expected at least 1")
    # A softmax may round to just above 1.
    confidences = np.minimum(probabilities.max(-1).astype(np.float64), 1)
    correct = probabilities.argmax(-1) == labels
    edges = np.linspace(0, 1, bins + 1)
    # The largest of n probabilities is at least 1 / n, so no confidence falls on the edge at 0.
    indices = np.searchsorted(edges, confidences, side="left") - 1
    counts = np.bincount(indices, minlength=bins)

    def means(values: np.ndarray) -> Float[np.ndarray, " bins"]:
        sums = np.bincount(indices, weights=values, minlength=bins)
        return np.divide(sums, counts, out=np.full(bins, np.nan), where=counts > 0)

    return Reliability(edges, means(confidences), means(correct), counts)


def calibration_error(
    probabilities: Float[np.ndarray, "examples classes"],
    labels: Integer[np.ndarray, " examples"],
    bins: int = 15,
) -> float:
    """Expected calibration error in [0, 1]: the mean gap between confidence and accuracy.

    `sum_m |B_m| / n |accuracy(B_m) - confidence(B_m)|` over `bins` bins `B_m` of equal width.

    Raises:
        ValueError: the shapes do not match, a row is not a distribution, or `bins` < 1.

    Source: Guo et al. (2017), arXiv:1706.04599, equation 3.

    >>> calibration_error(np.array([[0.75, 0.25], [0.25, 0.75]]), np.array([0, 0]))
    0.25
    """
    return reliability(probabilities, labels, bins).error
