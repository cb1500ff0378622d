"""The report of a classifier of images."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from dl_jax import plots
from dl_jax.data import ImageDataset
from dl_jax.errors import RunError, UsageError, nearest
from dl_jax.evaluation import (
    calibration_error,
    confusion_matrix,
    log_loss,
    precision_recall,
    reliability,
    to_probabilities,
)
from dl_jax.learners import Weights, flatten_replicas
from dl_jax.models import Model
from dl_jax.paths import path_names
from dl_jax.reports.data import data_figure
from dl_jax.reports.report import EMPTY, Figures, check_trained, report
from dl_jax.runs import Run
from dl_jax.training import Fitted, predict
from dl_jax.types import Params

MAX_SHOWN = 24


class Classification(NamedTuple):
    """What there is to say of a classifier.

    Attributes:
        measured: accuracy, loss and calibration error of each replica; precision and recall of each
            class over all replicas.
        figures: by name, functions that draw them.
    """

    measured: dict[str, Any]
    figures: dict[str, Callable[[], Any]]


def report_classification(
    run: Run,
    model: Model,
    fitted: Fitted,
    data: Mapping[str, ImageDataset],
    *,
    first_kernel: str | None = None,
    source: str | None = None,
    figures: Figures = EMPTY,
) -> dict[str, Any]:
    """`report` of `classification` on the test set, with a figure of the data first.

    Args:
        run: whose directory is written to.
        model: that was trained.
        fitted: what `fit` gave; the best parameters are evaluated, the test set once.
        data: datasets by split.
        first_kernel: as for `classification`.
        source: as for `report`.
        figures: further figures.

    Raises:
        UsageError: there is no test set, or no parameter has the path `first_kernel`.
        RunError: a replica never had a finite evaluation, or its outputs are not finite.
    """
    if "test" not in data:
        raise UsageError(f"a report needs a test set, and the data has {', '.join(data)}")
    check_trained(fitted)
    weights = flatten_replicas(fitted.weights, fitted.best.replicas)
    found = classification(model, weights, data["test"], first_kernel=first_kernel)
    first = jax.tree.map(lambda leaf: leaf[0], weights[0])
    return report(
        run,
        fitted,
        found.measured,
        {"data": data_figure(data), **found.figures, **figures},
        source=source,
        extras={"parameters": sum(leaf.size for leaf in jax.tree.leaves(first))},
    )


def classification(
    model: Model, weights: Weights, test: ImageDataset, *, first_kernel: str | None = None
) -> Classification:
    """What classifiers measure on labeled images, and their figures.

    Figures that need one network (predictions, filters) show the first replica.

    Args:
        model: maps images to logits.
        weights: parameters and model state, with a leading axis of replicas.
        test: labeled images.
        first_kernel: path of the parameter that sees the images, such as `conv1_1/kernel`, to be
            drawn as filters.

    Raises:
        UsageError: no parameter has the path `first_kernel`.
        RunError: outputs are not finite.
    """
    params, model_state = weights
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
    predicted = logits.argmax(-1)
    confusion = np.sum([confusion_matrix(labels, p, test.num_classes) for p in predicted], axis=0)
    per_class = precision_recall(confusion)
    measured = {
        "accuracy": (predicted == labels).mean(-1),
        "loss": np.array([log_loss(each, labels) for each in logits]),
        "calibration_error": np.array([calibration_error(p, labels) for p in probabilities]),
        "per_class": {
            name: {"precision": float(precision), "recall": float(recall)}
            for name, precision, recall in zip(
                test.classes, per_class.precision, per_class.recall, strict=True
            )
        },
    }
    return Classification(measured, _figures(test, probabilities, labels, confusion, kernel))


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
) -> dict[str, Callable[[], Any]]:
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
