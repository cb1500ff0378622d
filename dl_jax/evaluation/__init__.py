"""Evaluation: metrics of predictions, in numpy on the host."""

from dl_jax.evaluation.calibration import Reliability, calibration_error, reliability
from dl_jax.evaluation.confusion import PrecisionRecall, confusion_matrix, precision_recall
from dl_jax.evaluation.mistakes import most_confident_mistakes
from dl_jax.evaluation.probabilities import log_loss, to_probabilities

__all__ = [
    "PrecisionRecall",
    "Reliability",
    "calibration_error",
    "confusion_matrix",
    "log_loss",
    "most_confident_mistakes",
    "precision_recall",
    "reliability",
    "to_probabilities",
]
