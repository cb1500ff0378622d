"""What a finished classifier leaves behind: its test metrics, its result file and its figures."""

import json
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from dl_jax import plots
from dl_jax.data import Dataset
from dl_jax.evaluation import (
    calibration_error,
    confusion_matrix,
    precision_recall,
    predict,
    reliability,
    to_probabilities,
)
from dl_jax.learners import Learner
from dl_jax.models import Model
from dl_jax.training.evaluate import make_evaluate
from dl_jax.training.fit import Fitted
from dl_jax.training.fit_config import FitConfig
from dl_jax.training.run_directory import Run, portable_command, write_atomically

SHOWN = 24


def report_classification(
    model: Model,
    learner: Learner,
    fitted: Fitted,
    data: Mapping[str, Dataset],
    config: FitConfig,
    run: Run,
) -> dict[str, Any]:
    """Evaluate on the test set, draw the figures, write `result.json` and return what it holds.

    Figures that need one network (predictions, filters) show the first run.
    """
    test = data["test"]
    measured = make_evaluate(learner, config.evaluation_batch_size)(fitted.best, test).means()
    many = fitted.best.step.ndim > 0
    logits = predict(model, fitted.best.params, fitted.best.model_state, test, runs=many)
    probabilities = to_probabilities(logits)
    labels = np.asarray(test.arrays["label"][:])
    of_runs = probabilities if many else probabilities[None]
    confusions = [confusion_matrix(labels, p.argmax(-1), test.num_classes) for p in of_runs]
    per_class = precision_recall(np.sum(confusions, axis=0))
    params = jax.tree.map(lambda leaf: leaf[0] if many else leaf, fitted.best.params)
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
    _draw(run, fitted, test, of_runs[0], labels, np.sum(confusions, axis=0), params)
    result = _write_result(run, summary, fitted.seconds)
    accuracy = result["test"]["accuracy"]
    spread = f" ± {accuracy['deviation']:.4f}" if many else ""
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
    params: Mapping[str, Any],
) -> None:
    images = np.asarray(test.arrays["image"])
    figures = {
        "training_curves": plots.training_curves(fitted.history),
        "confusion_matrix": plots.confusion_matrix(confusion, test.classes),
        "predictions": plots.prediction_grid(
            images[:SHOWN], labels[:SHOWN], probabilities[:SHOWN], test.classes
        ),
        "confident_mistakes": plots.confident_mistakes(images, labels, probabilities, test.classes),
        "calibration": plots.reliability_diagram(reliability(probabilities, labels)),
    }
    kernel = np.asarray(next(iter(params.values())).get("kernel", 0))
    if kernel.ndim == 4:
        figures["first_layer_filters"] = plots.first_layer_filters(kernel)
    elif kernel.ndim == 2 and kernel.shape[0] == np.prod(test.example_shape):
        figures["first_layer_filters"] = plots.first_layer_filters(kernel, test.example_shape)
    for name, figure in figures.items():
        plots.save(figure, run.figures / f"{name}.png")


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
