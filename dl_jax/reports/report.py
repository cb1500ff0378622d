"""What a finished run leaves behind: its test metrics, its result file and its figures."""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dl_jax import plots
from dl_jax.data import Dataset
from dl_jax.errors import RunError, UsageError
from dl_jax.learners import Learner
from dl_jax.manifest import write_atomically
from dl_jax.reports.data import data_figure
from dl_jax.reports.numbers import format_mean_std, mean_and_std
from dl_jax.runs import Run
from dl_jax.runs.command import portable_command
from dl_jax.training import FitConfig, Fitted, make_evaluate
from dl_jax.training.best import NEVER

Figures = Mapping[str, Callable[[], Figure]]
EMPTY: Mapping[str, Any] = MappingProxyType({})


def report(
    learner: Learner,
    fitted: Fitted,
    data: Mapping[str, Dataset],
    config: FitConfig,
    run: Run,
    *,
    targets: str = "label",
    figures: Figures = EMPTY,
    extras: Mapping[str, Any] = EMPTY,
) -> dict[str, Any]:
    """Evaluate on the test set, write `result.json`, draw the figures; returns what was written.

    Args:
        learner: that was trained.
        fitted: what `fit` gave; the best parameters are evaluated.
        data: datasets by split, `test` among them.
        config: for the size of evaluation batches.
        run: whose directory is written to.
        targets: name of the targets, for the figure of the data.
        figures: by file name, functions that draw them: what was measured is written first, and
            kept if a drawing fails. The figures of the data and of the training are always drawn.
        extras: further entries of `result.json`.

    Raises:
        UsageError: there is no test set.
        RunError: a replica never had a finite evaluation.
    """
    if "test" not in data:
        raise UsageError(f"a report needs a test set, and the data has {', '.join(data)}")
    check_trained(fitted)
    measured = make_evaluate(learner, config.evaluation_batch_size)(fitted.best, data["test"])
    test = {name: mean_and_std(value) for name, value in measured.means().items()}
    result = write_result(
        run,
        {
            "test": test,
            **extras,
            "best_step": np.ravel(fitted.best_step).tolist(),
            "steps": int(np.ravel(fitted.state.step)[0]),
        },
        fitted.seconds,
    )
    always = {
        "data": data_figure(data, targets),
        "training_curves": lambda: plots.training_curves(fitted.history),
    }
    save_figures(run, {**always, **figures})
    count = int(np.size(fitted.best_step))
    headline = next((name for name in ("accuracy", "loss", *test) if name in test), None)
    said = f"test {headline} {format_mean_std(test[headline])}, " if headline else ""
    print(
        f"{said}{count} replica{'s' if count > 1 else ''}, {fitted.seconds:.0f} s of training; "
        f"figures and result.json in {run.directory}"
    )
    return result


def check_trained(fitted: Fitted) -> None:
    """Raise if a replica diverged before its first evaluation: it has no parameters to report.

    Raises:
        RunError: says how many did, and what to do.
    """
    lost = np.flatnonzero(np.ravel(fitted.best_step) == NEVER)
    if len(lost):
        raise RunError(
            f"replica {lost[0]} never had a finite evaluation ({len(lost)} of "
            f"{np.size(fitted.best_step)} did not): lower the learning rate or clip the gradient, "
            "in a new run"
        )


def write_result(run: Run, summary: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """`result.json`: what was run, where, and what came out."""
    record = json.loads((run.directory / "config.json").read_text())
    measured = {**summary, "seconds": round(seconds, 1), "command": portable_command()}
    result = {**record, **measured}
    path = run.directory / "result.json"
    with run.writing(path):
        write_atomically(path, json.dumps(result, indent=2) + "\n")
    return result


def save_figures(run: Run, figures: Figures) -> None:
    """Draw and save figures under their names in the run's directory."""
    for name, draw in figures.items():
        figure, path = draw(), run.figures / f"{name}.png"
        with run.writing(path):
            plots.save(figure, path)
