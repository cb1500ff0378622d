"""The report of a classifier of images."""

from collections.abc import Mapping
from math import prod
from typing import Any

import jax
import numpy as np

from dl_jax import plots
from dl_jax.data import ImageDataset
from dl_jax.errors import RunError
from dl_jax.evaluation import (
    calibration_error,
    confusion_matrix,
    precision_recall,
    reliability,
    to_probabilities,
)
from dl_jax.learners import Learner, flatten_replicas
from dl_jax.models import Model
from dl_jax.reports.report import Figures, mean_and_std, report
from dl_jax.runs.run import Run
from dl_jax.training import predict
from dl_jax.training.fit import Fitted
from dl_jax.training.fit_config import FitConfig
from dl_jax.types import Params

MAX_SHOWN = 24


def report_classification(
    model: Model,
    learner: Learner,
    fitted: Fitted,
    data: Mapping[str, ImageDataset],
    config: FitConfig,
    run: Run,
) -> dict[str, Any]:
    """As `report`, with calibration and each class's precision and recall, and their figures.

    Figures that need one network (predictions, filters) show the first run.

    Raises:
        RunError: the outputs of a run are not finite.
    """
    test = data["test"]
    params, model_state = flatten_replicas(fitted.best)
    logits = predict(model, params, model_state, test, runs=True)
    lost = np.flatnonzero(~np.isfinite(logits).all((1, 2)))
    if len(lost):
        raise RunError(
            f"run {lost[0]} ended with outputs that are not finite ({len(lost)} of {len(logits)} "
            "did): lower the learning rate or clip the gradient, in a new run"
        )
    probabilities = to_probabilities(logits)
    labels = np.asarray(test.arrays["label"][:])
    confusion = np.sum(
        [confusion_matrix(labels, p.argmax(-1), test.num_classes) for p in probabilities], axis=0
    )
    per_class = precision_recall(confusion)
    params = jax.tree.map(lambda leaf: leaf[0], params)
    extras = {
        "calibration_error": mean_and_std([calibration_error(p, labels) for p in probabilities]),
        "per_class": {
            name: {"precision": float(precision), "recall": float(recall)}
            for name, precision, recall in zip(
                test.classes, per_class.precision, per_class.recall, strict=True
            )
        },
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
    }
    figures = _figures(test, probabilities[0], labels, confusion, params, len(probabilities))
    return report(learner, fitted, data, config, run, figures=figures, extras=extras)


def _figures(
    test: ImageDataset,
    probabilities: np.ndarray,
    labels: np.ndarray,
    confusion: np.ndarray,
    params: Params,
    runs: int,
) -> Figures:
    images = np.asarray(test.arrays["image"])
    first = f"run 1 of {runs}" if runs > 1 else None
    together = f"{runs} runs together" if runs > 1 else None
    figures: dict[str, Any] = {
        "confusion_matrix": lambda: plots.confusion_matrix(confusion, test.classes, title=together),
        "calibration": lambda: plots.reliability_diagram(
            reliability(probabilities, labels), title=first
        ),
    }
    if images.shape[-1] not in (1, 3):  # what cannot be shown as an image
        return figures
    figures["predictions"] = lambda: plots.prediction_grid(
        images[:MAX_SHOWN], labels[:MAX_SHOWN], probabilities[:MAX_SHOWN], test.classes, title=first
    )
    figures["confident_mistakes"] = lambda: plots.confident_mistakes(
        images, labels, probabilities, test.classes
    )
    kernel = _first_kernel(params, test.image_shape)
    if kernel is not None:
        figures["first_layer_filters"] = lambda: plots.first_layer_filters(
            kernel, test.image_shape, title="Filters of the first layer"
        )
    return figures


def _first_kernel(params: Params, example_shape: tuple[int, ...]) -> np.ndarray | None:
    """The first kernel that can be one over images of this shape, if there is one."""
    for leaf in jax.tree.leaves(params):
        convolves = leaf.ndim == 4 and leaf.shape[2] == example_shape[-1]
        if convolves or (leaf.ndim == 2 and leaf.shape[0] == prod(example_shape)):
            return np.asarray(leaf)
    return None
