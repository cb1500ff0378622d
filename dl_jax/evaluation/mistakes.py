"""The most confident wrong predictions."""

import numpy as np
from jaxtyping import Float, Integer

from dl_jax.evaluation.checks import check_probabilities


def most_confident_mistakes(
    probabilities: Float[np.ndarray, "examples classes"],
    labels: Integer[np.ndarray, " examples"],
    count: int,
) -> Integer[np.ndarray, " mistakes"]:
    """Indices of up to `count` misclassified examples, the most confident first.

    Confidence is the probability of the predicted class; ties keep the order of the examples.

    Raises:
        ValueError: the shapes do not match, a row is not a distribution, or `count` < 0.

    >>> scores = np.array([[0.75, 0.25], [0.125, 0.875], [1.0, 0.0]])
    >>> most_confident_mistakes(scores, np.array([1, 0, 0]), 5).tolist()
    [1, 0]
    """
    check_probabilities(probabilities, labels)
    if count < 0:
        raise ValueError(f"count is {count}, expected at least 0")
    wrong = np.flatnonzero(probabilities.argmax(-1) != labels)
    order = np.argsort(-probabilities.max(-1)[wrong], kind="stable")
    return wrong[order[:count]]
