"""What a finished run leaves behind: its test metrics, its result file and its figures."""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dl_jax import plots
from dl_jax.data import Dataset
from dl_jax.learners import Learner
from dl_jax.manifest import write_atomically
from dl_jax.runs.command import portable_command
from dl_jax.runs.run import Run
from dl_jax.training.evaluate import make_evaluate
from dl_jax.training.fit import Fitted
from dl_jax.training.fit_config import FitConfig

Figures = Mapping[str, Callable[[], Figure]]
EMPTY: Mapping[str, Any] = MappingProxyType({})


def report(
    learner: Learner,
    fitted: Fitted,
    data: Mapping[str, Dataset],
    config: FitConfig,
    run: Run,
    *,
    figures: Figures = EMPTY,
    extras: Mapping[str, Any] = EMPTY,
) -> dict[str, Any]:
    """Evaluate on the test set, write `result.json`, draw the figures; returns what was written.

    Args:
        learner: that was trained.
        fitted: what `fit` gave; the best parameters are evaluated.
        data: datasets, of which `test` is used.
        config: for the size of evaluation batches.
        run: whose directory is written to.
        figures: by file name, functions that draw them: what was measured is written first, and
            kept if a drawing fails. The training curves are always drawn.
        extras: whatever else `result.json` should hold.
    """
    measured = make_evaluate(learner, config.evaluation_batch_size)(fitted.best, data["test"])
    summary = {
        "test": {name: mean_and_std(value) for name, value in measured.means().items()},
        **extras,
        "best_step": np.ravel(fitted.best_step).tolist(),
        "steps": int(np.ravel(fitted.state.step)[0]),
    }
    result = write_result(run, summary, fitted.seconds)
    everything = {"training_curves": lambda: plots.training_curves(fitted.history), **figures}
    save_figures(run, everything)
    name = "accuracy" if "accuracy" in result["test"] else "loss"
    value = result["test"][name]
    count = len(value["values"])
    print(
        f"test {name} {format_mean_std(value)} ({count} run{'s' if count > 1 else ''}, "
        f"{fitted.seconds:.0f} s of training); figures and result.json in {run.directory}"
    )
    return result


def mean_and_std(values: Any) -> dict[str, Any]:
    """Mean, standard deviation over runs (0 of one), and the values."""
    values = np.ravel(values)
    std = values.std(ddof=1) if values.size > 1 else 0.0
    return {"mean": float(values.mean()), "std": float(std), "values": values.tolist()}


def format_mean_std(summary: Mapping[str, Any], form: str = ".4f") -> str:
    """What `mean_and_std` gave in words: mean ± deviation, of one run its value alone.

    >>> format_mean_std(mean_and_std([0.5, 0.7])), format_mean_std(mean_and_std([0.5]), ".2f")
    ('0.6000 ± 0.1414', '0.50')
    """
    if len(summary["values"]) == 1:
        return f"{summary['mean']:{form}}"
    return f"{summary['mean']:{form}} ± {summary['std']:{form}}"


def write_result(run: Run, summary: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """`result.json`: what was run, where, and what came out."""
    record = json.loads((run.directory / "config.json").read_text())
    measured = {**summary, "seconds": round(seconds, 1), "command": portable_command()}
    result = {**record, **measured}
    write_atomically(run.directory / "result.json", json.dumps(result, indent=2) + "\n")
    return result


def save_figures(run: Run, figures: Figures) -> None:
    """Draw and save figures under their names in the run's directory."""
    for name, draw in figures.items():
        plots.save(draw(), run.figures / f"{name}.png")
