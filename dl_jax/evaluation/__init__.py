"""Evaluation: metrics of predictions, in numpy on the host."""

from dl_jax.evaluation.calibration import Reliability, calibration_error, reliability
from dl_jax.evaluation.confusion import PrecisionRecall, confusion_matrix, precision_recall
from dl_jax.evaluation.linear_probe import LinearProbe, fit_linear_probe, probe_accuracy
from dl_jax.evaluation.mistakes import most_confident_mistakes
from dl_jax.evaluation.note_baselines import (
    NoteBaselines,
    NoteLoss,
    fit_note_baselines,
    note_loss,
)
from dl_jax.evaluation.probabilities import log_loss, to_probabilities
from dl_jax.evaluation.replicas import measure_replicas
from dl_jax.evaluation.representations import (
    linear_cka,
    nearest_class_mean_accuracy,
    participation_ratio,
)
from dl_jax.evaluation.rouge import rouge
from dl_jax.evaluation.samples import (
    SamplePrecisionRecall,
    frechet_distance,
    inception_score,
    modes_covered,
    nearest_examples,
    sample_precision_recall,
    sliced_wasserstein,
)

__all__ = [
    "LinearProbe",
    "NoteBaselines",
    "NoteLoss",
    "PrecisionRecall",
    "Reliability",
    "SamplePrecisionRecall",
    "calibration_error",
    "confusion_matrix",
    "fit_linear_probe",
    "fit_note_baselines",
    "frechet_distance",
    "inception_score",
    "linear_cka",
    "log_loss",
    "measure_replicas",
    "modes_covered",
    "most_confident_mistakes",
    "nearest_class_mean_accuracy",
    "nearest_examples",
    "note_loss",
    "participation_ratio",
    "precision_recall",
    "probe_accuracy",
    "reliability",
    "rouge",
    "sample_precision_recall",
    "sliced_wasserstein",
    "to_probabilities",
]
