"""Probabilities from logits."""

import numpy as np
from jaxtyping import Float


def to_probabilities(
    logits: Float[np.ndarray, "*replicas examples classes"],
) -> Float[np.ndarray, "*replicas examples classes"]:
    """The softmax of logits over their last axis, as float32.

    >>> to_probabilities(np.zeros((1, 2), np.float32)).tolist()
    [[0.5, 0.5]]
    """
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return (powers / powers.sum(-1, keepdims=True)).astype(np.float32)
