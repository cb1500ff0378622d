"""What a finished run leaves behind: its numbers in `result.json`, and its figures."""

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dl_jax import plots
from dl_jax.errors import RunError, UsageError, nearest
from dl_jax.manifest import write_atomically
from dl_jax.reports.numbers import format_mean_std, mean_and_std
from dl_jax.runs import Run
from dl_jax.runs.command import portable_command
from dl_jax.training import Fitted
from dl_jax.training.best import all_finite

Figures = Mapping[str, Callable[[], Figure]]
Measured = Mapping[str, Any]
"""What was measured on the test set, by name: a number for each replica, and further values."""
EMPTY: Mapping[str, Any] = MappingProxyType({})


def report(
    run: Run,
    fitted: Fitted,
    measured: Measured,
    figures: Figures = EMPTY,
    *,
    headline: str = "accuracy",
    source: str | None = None,
    test_evaluations: int = 1,
    extras: Mapping[str, Any] = EMPTY,
) -> dict[str, Any]:
    """Write `result.json`, draw the figures, print the headline; returns what was written.

    Args:
        run: whose directory is written to.
        fitted: what `fit` gave.
        measured: of the best parameters, on the test set. What has one number for each replica is
            summarized by mean and standard deviation.
        figures: by file name, functions that draw them: what was measured is written first, and
            kept if a drawing fails. The training curves are always drawn.
        headline: which of what was measured stands in tables.
        source: the figure that is known of this experiment, with its source: `0.98 (course)`.
        test_evaluations: how often the test set was evaluated by this run: once, unless something
            was chosen by looking at it.
        extras: further entries of `result.json`, which were not measured on the test set.

    Raises:
        UsageError: nothing was measured under the name `headline`.
        RunError: no replica ever had a finite evaluation. One that had none is marked as diverged.
    """
    check_trained(fitted, some=True)
    summary = _summarized(measured, fitted)
    _check_headline(headline, summary)
    result = write_result(
        run,
        {
            "headline": headline,
            "source": source,
            "test": summary,
            "test_evaluations": test_evaluations,
            **extras,
            "best_step": np.ravel(fitted.best_step).tolist(),
            "steps": int(np.ravel(fitted.state.step)[0]),
        },
        fitted.seconds,
    )
    curves = {"training_curves": lambda: plots.training_curves(fitted.history)}
    save_figures(run, {**curves, **figures})
    count = int(np.size(fitted.best_step))
    _say(
        run,
        f"test {headline} {_text(summary[headline])}, {count} replica{'s' if count > 1 else ''}, "
        f"{fitted.seconds:.0f} s of training; figures and result.json in {run.directory}",
    )
    return result


def report_each(
    run: Run,
    fitted: Mapping[str, Fitted],
    measured: Mapping[str, Measured],
    figures: Figures = EMPTY,
    *,
    headline: str = "accuracy",
    source: str | None = None,
    test_evaluations: int = 1,
    extras: Mapping[str, Any] = EMPTY,
) -> dict[str, Any]:
    """As `report`, for several learners that are compared (`fit_each`): a line is printed for each.

    Args:
        run: whose directory is written to.
        fitted: what `fit_each` gave, by the learner's name. There may be more than are compared:
            their time counts.
        measured: what was measured on the test set, by the learner's name.
        figures: as for `report`; no curves are drawn unless they are among them.
        headline: as for `report`, the same for all.
        source: as for `report`.
        test_evaluations: of each learner.
        extras: as for `report`.

    Raises:
        UsageError: nothing was measured under the name `headline`.
        RunError: as for `report`, of all of them. One that diverged is marked.
    """
    check_some_trained(fitted)
    summaries = {name: _summarized(each, fitted[name]) for name, each in measured.items()}
    for summary in summaries.values():
        _check_headline(headline, summary)
    result = write_result(
        run,
        {
            "headline": headline,
            "source": source,
            "test": summaries,
            "test_evaluations": test_evaluations,
            **extras,
        },
        sum(each.seconds for each in fitted.values()),
    )
    save_figures(run, figures)
    width = max(len(name) for name in summaries)
    for name, summary in summaries.items():
        first = {headline: summary[headline]}
        shown = {metric: _text(value) for metric, value in {**first, **summary}.items()}
        numbers = [f"{metric} {text}" for metric, text in shown.items() if text]
        _say(run, f"{name:{width}}  {', '.join(numbers)}")
    _say(run, f"figures and result.json in {run.directory}")
    return result


def check_trained(fitted: Fitted, *, some: bool = False) -> None:
    """Raise if a replica diverged before its first evaluation: it has no parameters to report.

    With `some` it is enough that one has.

    Raises:
        RunError: says how many did, and what to do.
    """
    replicas = np.size(fitted.best_step)
    lost = np.setdiff1d(np.arange(replicas), fitted.trained)
    if len(lost) > (replicas - 1 if some else 0):
        raise RunError(
            f"replica {lost[0]} never had a finite evaluation ({len(lost)} of "
            f"{replicas} did not): lower the learning rate or clip the gradient, "
            "in a new run"
        )


def check_some_trained(fitted: Mapping[str, Fitted]) -> None:
    """Raise if all replicas of all learners diverged before their first evaluation.

    Raises:
        RunError: as for `check_trained`, of the first learner.
    """
    if not any(each.trained.size for each in fitted.values()):
        check_trained(next(iter(fitted.values())))


def write_result(run: Run, summary: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """`result.json`: what was run, where, and what came out."""
    record = json.loads((run.directory / "config.json").read_text())
    measured = {**summary, "seconds": round(seconds, 1), "command": portable_command()}
    result = {**record, **measured}
    path = run.directory / "result.json"
    if run.writes:
        with run.writing(path):
            write_atomically(path, json.dumps(result, indent=2) + "\n")
    return result


def save_figures(run: Run, figures: Figures) -> None:
    """Draw and save figures under their names in the run's directory."""
    if not run.writes:
        return
    for name, draw in figures.items():
        figure, path = draw(), run.figures / f"{name}.png"
        with run.writing(path):
            plots.save(figure, path)


def _summarized(measured: Measured, fitted: Fitted) -> dict[str, Any]:
    """A number for each replica as mean and deviation; other arrays as lists, the rest as it is.

    Replicas whose last parameters are not finite are counted as `diverged`, where there are any:
    what was measured of them is from before.
    """
    summary, replicas = {}, np.size(fitted.best_step)
    lost = int(np.sum(~np.asarray(all_finite(fitted.state.params, fitted.state.step.ndim))))
    for name, value in measured.items():
        array = None if isinstance(value, (Mapping, str, int, float)) else np.asarray(value)
        if array is None or array.dtype.kind not in "fiub":
            summary[name] = value
        else:
            summary[name] = mean_and_std(array) if array.size == replicas else array.tolist()
    return {**summary, "diverged": lost} if lost else summary


def _check_headline(headline: str, summary: dict[str, Any]) -> None:
    """Raise unless the headline has a number for each replica; one number alone is summarized."""
    if headline not in summary:
        raise UsageError(
            f"headline is {headline!r}, expected something that was measured: "
            f"{', '.join(summary) or 'nothing'}{nearest(headline, summary)}"
        )
    value = summary[headline]
    if isinstance(value, (int, float)):
        summary[headline] = mean_and_std(value)
    elif not (isinstance(value, Mapping) and "values" in value):
        raise UsageError(
            f"headline {headline!r} is {value!r}, expected one number for each replica"
        )


def _say(run: Run, line: str) -> None:
    if run.writes:
        print(line)


def _text(value: Any) -> str:
    """A number, or a mean with its deviation, in print; nothing for anything else."""
    if isinstance(value, Mapping) and "values" in value:
        return format_mean_std(value, ".4f" if abs(value["mean"] or 0) < 100 else ",.1f")
    if isinstance(value, float):
        return f"{value:,.4g}"
    return f"{value:,}" if isinstance(value, int) else ""
