"""Accuracy."""

import numpy as np
from jaxtyping import Float, Integer

from dl_jax.evaluation.checks import check_scores


def accuracy(
    logits_or_probabilities: Float[np.ndarray, "*runs examples classes"],
    labels: Integer[np.ndarray, " examples"],
) -> Float[np.ndarray, "*runs"]:
    """Share of the examples whose largest score is the label's, in [0, 1], for each run.

    Of equal scores the first class is the prediction.

    Raises:
        ValueError: the shapes do not fit together, or a label is not a class.

    >>> accuracy(np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([0, 0])).item()
    0.5
    """
    check_scores(logits_or_probabilities, labels)
    return np.asarray((logits_or_probabilities.argmax(-1) == labels).mean(-1))
