"""The report of a classifier of images."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from dl_jax import plots
from dl_jax.data import ImageDataset
from dl_jax.errors import RunError, UsageError, nearest
from dl_jax.evaluation import (
    calibration_error,
    confusion_matrix,
    precision_recall,
    reliability,
    to_probabilities,
)
from dl_jax.learners import Learner, flatten_replicas
from dl_jax.models import Model
from dl_jax.paths import path_names
from dl_jax.reports.numbers import mean_and_std
from dl_jax.reports.report import Figures, check_trained, report
from dl_jax.runs import Run
from dl_jax.training import FitConfig, Fitted, predict
from dl_jax.types import Params

MAX_SHOWN = 24


def report_classification(
    model: Model,
    learner: Learner,
    fitted: Fitted,
    data: Mapping[str, ImageDataset],
    config: FitConfig,
    run: Run,
    *,
    first_kernel: str | None = None,
) -> dict[str, Any]:
    """As `report`, with calibration and each class's precision and recall, and their figures.

    Figures that need one network (predictions, filters) show the first replica.

    Args:
        model: that `learner` trained.
        learner: as for `report`, like the arguments after it.
        fitted: what `fit` gave.
        data: datasets by split.
        config: for the size of evaluation batches.
        run: whose directory is written to.
        first_kernel: path of the parameter that sees the images, such as `conv1_1/kernel`, to be
            drawn as filters.

    Raises:
        UsageError: no parameter has the path `first_kernel`.
        RunError: a replica never had a finite evaluation, or its outputs are not finite.
    """
    check_trained(fitted)
    test = data["test"]
    params, model_state = flatten_replicas(fitted.best)
    first = jax.tree.map(lambda leaf: leaf[0], params)
    kernel = None if first_kernel is None else _leaf(first, first_kernel)
    logits = predict(model, params, model_state, test, replicas=True)
    lost = np.flatnonzero(~np.isfinite(logits).all((1, 2)))
    if len(lost):
        raise RunError(
            f"replica {lost[0]} has outputs that are not finite ({len(lost)} of {len(logits)} "
            "have): lower the learning rate or clip the gradient, in a new run"
        )
    probabilities = to_probabilities(logits)
    labels = np.asarray(test.arrays["label"][:])
    confusion = np.sum(
        [confusion_matrix(labels, p.argmax(-1), test.num_classes) for p in probabilities], axis=0
    )
    per_class = precision_recall(confusion)
    extras = {
        "calibration_error": mean_and_std([calibration_error(p, labels) for p in probabilities]),
        "per_class": {
            name: {"precision": float(precision), "recall": float(recall)}
            for name, precision, recall in zip(
                test.classes, per_class.precision, per_class.recall, strict=True
            )
        },
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(first)),
    }
    figures = _figures(test, probabilities, labels, confusion, kernel)
    return report(learner, fitted, data, config, run, figures=figures, extras=extras)


def _leaf(params: Params, path: str) -> np.ndarray:
    """The parameter of this path."""
    leaves = dict(zip(path_names(params), jax.tree.leaves(params), strict=True))
    if path not in leaves:
        raise UsageError(
            f"first_kernel is {path!r}, expected one of {', '.join(leaves)}{nearest(path, leaves)}"
        )
    return np.asarray(leaves[path])


def _figures(
    test: ImageDataset,
    probabilities: np.ndarray,  # [replicas, examples, classes]
    labels: np.ndarray,
    confusion: np.ndarray,
    kernel: np.ndarray | None,
) -> Figures:
    images = np.asarray(test.arrays["image"][:])
    count, shown = len(probabilities), probabilities[0]
    first = f"replica 1 of {count}" if count > 1 else None
    together = f"{count} replicas together" if count > 1 else None
    figures: dict[str, Any] = {
        "confusion_matrix": lambda: plots.confusion_matrix(confusion, test.classes, title=together),
        "calibration": lambda: plots.reliability_diagram(reliability(shown, labels), title=first),
    }
    if images.shape[-1] not in (1, 3):  # what cannot be shown as an image
        return figures
    figures["predictions"] = lambda: plots.prediction_grid(
        images[:MAX_SHOWN], labels[:MAX_SHOWN], shown[:MAX_SHOWN], test.classes, title=first
    )
    figures["confident_mistakes"] = lambda: plots.confident_mistakes(
        images, labels, shown, test.classes
    )
    if kernel is not None:
        figures["first_layer_filters"] = lambda: plots.first_layer_filters(
            kernel, test.image_shape, title="Filters of the first layer"
        )
    return figures
