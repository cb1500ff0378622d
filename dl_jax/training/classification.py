"""What a finished classifier leaves behind: its test metrics, its result file and its figures."""

import json
from collections.abc import Mapping
from math import prod
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from dl_jax import plots
from dl_jax.data import Dataset
from dl_jax.errors import RunError
from dl_jax.evaluation import (
    calibration_error,
    confusion_matrix,
    precision_recall,
    predict,
    reliability,
    to_probabilities,
)
from dl_jax.learners import Learner, TrainState
from dl_jax.models import Model
from dl_jax.training.command import portable_command
from dl_jax.training.evaluate import make_evaluate
from dl_jax.training.fit import Fitted
from dl_jax.training.fit_config import FitConfig
from dl_jax.training.run_directory import Run, write_atomically
from dl_jax.types import Params, State

SHOWN = 24


def report_classification(
    model: Model,
    learner: Learner,
    fitted: Fitted,
    data: Mapping[str, Dataset],
    config: FitConfig,
    run: Run,
) -> dict[str, Any]:
    """Evaluate on the test set, write `result.json`, draw the figures; returns what was written.

    Figures that need one network (predictions, filters) show the first run.

    Raises:
        RunError: the outputs of a run are not finite.
    """
    test = data["test"]
    measured = make_evaluate(learner, config.evaluation_batch_size)(fitted.best, test).means()
    params, model_state = _with_one_axis_of_runs(fitted.best)
    logits = predict(model, params, model_state, test, runs=True)
    lost = np.flatnonzero(~np.isfinite(logits).all((1, 2)))
    if len(lost):
        raise RunError(
            f"run {lost[0]} ended with outputs that are not finite ({len(lost)} of {len(logits)} "
            "did): lower the learning rate or clip the gradient, in a new run"
        )
    of_runs = to_probabilities(logits)
    labels = np.asarray(test.arrays["label"][:])
    confusions = [confusion_matrix(labels, p.argmax(-1), test.num_classes) for p in of_runs]
    per_class = precision_recall(np.sum(confusions, axis=0))
    params = jax.tree.map(lambda leaf: leaf[0], params)
    summary = {
        "test": {name: _summary(value) for name, value in measured.items()},
        "calibration_error": _summary(np.array([calibration_error(p, labels) for p in of_runs])),
        "per_class": {
            name: {"precision": float(precision), "recall": float(recall)}
            for name, precision, recall in zip(
                test.classes, per_class.precision, per_class.recall, strict=True
            )
        },
        "best_step": np.ravel(fitted.best_step).tolist(),
        "steps": int(np.ravel(fitted.state.step)[0]),
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
    }
    result = _write_result(run, summary, fitted.seconds)
    _draw(run, fitted, test, of_runs[0], labels, np.sum(confusions, axis=0), params)
    accuracy = result["test"]["accuracy"]
    spread = f" ± {accuracy['deviation']:.4f}" if len(of_runs) > 1 else ""
    print(
        f"test accuracy {accuracy['mean']:.4f}{spread} ({len(of_runs)} "
        f"run{'s' if len(of_runs) > 1 else ''}, {fitted.seconds:.0f} s of training); "
        f"figures and result.json in {run.directory}"
    )
    return result


def _draw(
    run: Run,
    fitted: Fitted,
    test: Dataset,
    probabilities: np.ndarray,
    labels: np.ndarray,
    confusion: np.ndarray,
    params: Params,
) -> None:
    images = np.asarray(test.arrays["image"])
    figures = {
        "training_curves": plots.training_curves(fitted.history),
        "confusion_matrix": plots.confusion_matrix(confusion, test.classes),
        "calibration": plots.reliability_diagram(reliability(probabilities, labels)),
    }
    if images.shape[-1] in (1, 3):  # what can be shown as an image
        figures["predictions"] = plots.prediction_grid(
            images[:SHOWN], labels[:SHOWN], probabilities[:SHOWN], test.classes
        )
        figures["confident_mistakes"] = plots.confident_mistakes(
            images, labels, probabilities, test.classes
        )
        kernel = _first_kernel(params, test.example_shape)
        if kernel is not None:
            figures["first_layer_filters"] = plots.first_layer_filters(kernel, test.example_shape)
    for name, figure in figures.items():
        plots.save(figure, run.figures / f"{name}.png")


def _with_one_axis_of_runs(state: TrainState) -> tuple[Params, State]:
    """Parameters and model state of all runs in one leading axis, also of a single run."""
    axes = state.step.ndim

    def flat(leaf: Array) -> Array:
        return leaf.reshape(-1, *leaf.shape[axes:])

    return jax.tree.map(flat, (state.params, state.model_state))


def _first_kernel(params: Params, example_shape: tuple[int, ...]) -> np.ndarray | None:
    """The first kernel that can be one over images of this shape, if there is one."""
    for leaf in jax.tree.leaves(params):
        convolves = leaf.ndim == 4 and leaf.shape[2] == example_shape[-1]
        if convolves or (leaf.ndim == 2 and leaf.shape[0] == prod(example_shape)):
            return np.asarray(leaf)
    return None


def _summary(values: np.ndarray) -> dict[str, Any]:
    """Mean, standard deviation over runs (0 of one), and the values."""
    values = np.ravel(values)
    deviation = values.std(ddof=1) if values.size > 1 else 0.0
    return {"mean": float(values.mean()), "deviation": float(deviation), "runs": values.tolist()}


def _write_result(run: Run, summary: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """`result.json`: what was run, where, and what came out."""
    record = json.loads((run.directory / "config.json").read_text())
    measured = {**summary, "seconds": round(seconds, 1), "command": portable_command()}
    result = {**record, **measured}
    text = json.dumps(result, indent=2) + "\n"
    write_atomically(run.directory / "result.json", text)
    return result
