"""Training curves."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dl_jax.plots.style import BLUE, FAINT, GREEN, SMALL_SIZE, VERMILLION, new_figure, style_axes
from dl_jax.types import NOT_METRICS

# Line styles differ too, for prints in gray.
STYLES = {
    "train": {"color": BLUE, "linestyle": "-", "marker": "o"},
    "validation": {"color": VERMILLION, "linestyle": "--", "marker": "s"},
    "test": {"color": GREEN, "linestyle": ":", "marker": "D"},
}

Row = Mapping[str, Any]


def training_curves(
    history: Iterable[Row],
    *,
    metrics: Sequence[str] | None = None,
    log_scale: Iterable[str] = (),
    title: str | None = None,
) -> Figure:
    """One panel per metric over the epochs, with a line for each split.

    For several replicas the line is their mean, and the band around it is ± one standard deviation
    (of a sample, divided by replicas - 1). Values that are not finite are left out: a note in the
    panel gives the number of replicas affected, and where no replica is finite the line has a gap.

    Args:
        history: rows as in `metrics.jsonl`, such as `{"step": 100, "epoch": 1.0, "split": "train",
            "loss": [0.3, 0.4], "accuracy": [0.9, 0.8]}`; a value is one number, or one per
            replica, and None or NaN where it was not finite. Among rows with the same split and
            step the last one counts, as after a resumed run.
        metrics: names of the panels, in order; None is every metric in the rows, loss first.
        log_scale: names of the metrics to draw on a logarithmic axis.
        title: above all panels.

    Raises:
        ValueError: there are no rows, a split is unknown, a metric is in no row, or the number of
            replicas changes.
    """
    rows = list(history)
    unknown = {row["split"] for row in rows} - STYLES.keys()
    if unknown:
        raise ValueError(f"the history has splits {sorted(unknown)}, expected {', '.join(STYLES)}")
    recorded = list(dict.fromkeys(name for row in rows for name in row if name not in NOT_METRICS))
    names = sorted(recorded, key=lambda name: name != "loss") if metrics is None else list(metrics)
    missing = [name for name in names if name not in recorded]
    if missing or not names:
        raise ValueError(
            f"the history records {', '.join(recorded) or 'nothing'}, expected "
            f"{', '.join(missing) or 'at least one metric'}"
        )
    log_scale = set(log_scale)
    figure = new_figure(max(4.8 * len(names), 6.0), 3.9, title)
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    num_replicas = 1
    for axes, name in zip(panels, names, strict=True):
        style_axes(axes, title=name.replace("_", " "), x="epoch")
        notes = []
        for split in STYLES:
            epochs, values = _series(rows, split, name)
            if len(epochs) == 0:
                continue
            _draw(axes, split, epochs, values)
            num_replicas = max(num_replicas, values.shape[1])
            lost = int((~np.isfinite(values)).any(0).sum())
            if lost:
                notes.append(f"{split}: {lost} of {values.shape[1]} replicas not finite")
        if name in log_scale:
            axes.set_yscale("log")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10]))
        note = "\n".join(notes)
        axes.set_title(note, loc="right", fontsize=SMALL_SIZE - 1, color=FAINT)
    handles = {
        line.get_label(): line for axes in panels for line in axes.get_lines()
    }  # each split once, though it is in every panel
    spread = f"mean ± standard deviation of {num_replicas} replicas" if num_replicas > 1 else None
    figure.legend(
        handles=[handles[split] for split in STYLES if split in handles],
        loc="outside lower center",
        ncols=len(STYLES),
        frameon=False,
        fontsize=SMALL_SIZE,
        title=spread,
        title_fontsize=SMALL_SIZE,
    )
    return figure


def _series(
    rows: Sequence[Row], split: str, name: str
) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, "points replicas"]]:
    """Epochs and values of one line, in the order of the steps; NaN where not finite."""
    points = {row["step"]: row for row in rows if row["split"] == split and name in row}
    ordered = [points[step] for step in sorted(points)]
    values = [np.atleast_1d(np.array(row[name], np.float64)) for row in ordered]
    counts = sorted({len(value) for value in values})
    if len(counts) > 1:
        raise ValueError(
            f"{name} of the {split} split is given for {' and '.join(map(str, counts))} "
            "replicas, expected the same number throughout"
        )
    table = np.stack(values) if values else np.zeros((0, 1))
    return np.array([row["epoch"] for row in ordered], np.float64), np.where(
        np.isfinite(table), table, np.nan
    )


def _draw(
    axes: Axes,
    split: str,
    epochs: Float[np.ndarray, " points"],
    values: Float[np.ndarray, "points replicas"],
) -> None:
    style = STYLES[split]
    finite = np.isfinite(values)
    count = finite.sum(1)
    filled = np.where(finite, values, 0)
    # Not `nanmean`, which warns where no replica is finite.
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = filled.sum(1) / count
        squares = np.where(finite, values - mean[:, None], 0) ** 2
        std = np.sqrt(squares.sum(1) / (count - 1))
    # A line of one point would be invisible without its marker.
    alone = len(epochs) == 1
    axes.plot(
        epochs,
        mean,
        label=split,
        color=style["color"],
        linestyle="none" if alone else style["linestyle"],
        linewidth=1.8,
        marker=style["marker"] if alone else "",
        markersize=6,
    )
    if values.shape[1] == 1:
        return
    if alone:
        axes.vlines(epochs, mean - std, mean + std, color=style["color"])
    else:
        axes.fill_between(
            epochs, mean - std, mean + std, color=style["color"], alpha=0.2, linewidth=0
        )
