"""Probabilities from logits, and how surprising the labels are under them."""

import numpy as np
from jaxtyping import Float, Integer

from dl_jax.evaluation.checks import check_labels


def to_probabilities(
    logits: Float[np.ndarray, "*replicas examples classes"],
) -> Float[np.ndarray, "*replicas examples classes"]:
    """The softmax of logits over their last axis, as float32.

    >>> to_probabilities(np.zeros((1, 2), np.float32)).tolist()
    [[0.5, 0.5]]
    """
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return (powers / powers.sum(-1, keepdims=True)).astype(np.float32)


def log_loss(
    logits: Float[np.ndarray, "examples classes"], labels: Integer[np.ndarray, " examples"]
) -> float:
    """The mean of `-log softmax(logits)[label]`, in float64.

    >>> round(log_loss(np.zeros((1, 2), np.float32), np.array([1])), 4)
    0.6931

    Raises:
        ValueError: a label is not that of a class.
    """
    check_labels("labels", labels, logits.shape[1])
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    log_total = np.log(np.exp(shifted).sum(-1))
    return float((log_total - shifted[np.arange(len(labels)), labels]).mean())
