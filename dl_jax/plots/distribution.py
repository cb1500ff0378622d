"""How the targets of a dataset are distributed, split by split."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Integer
from matplotlib.figure import Figure

from dl_jax.plots.bars import grouped_bars
from dl_jax.plots.lines import COLORS
from dl_jax.plots.style import SMALL_SIZE, new_figure, style_axes

# With more classes than this, three bars for each would be thinner than a pixel.
MAX_BARS = 60


def class_counts(
    counts: Mapping[str, Integer[np.ndarray, " classes"]],
    classes: Sequence[str],
    title: str | None = None,
) -> Figure:
    """Examples per class: one bar for each split, or an outline for more than 60 classes.

    The legend gives the number of examples in each split.

    Args:
        counts: name of a split to the number of its examples in each class.
        classes: names of the classes, in order.
        title: above the panel.

    Raises:
        ValueError: a split does not have one count for each class.
    """
    for split, values in counts.items():
        if values.shape != (len(classes),):
            raise ValueError(
                f"the counts of {split} have shape {values.shape}, expected one for each of "
                f"{len(classes)} classes"
            )
    named = {_with_size(split, int(values.sum())): values for split, values in counts.items()}
    if len(classes) <= MAX_BARS:
        return grouped_bars(named, classes, x="class", y="examples", title=title)
    figure = new_figure(9.0, 3.8, title)
    axes = figure.subplots()
    style_axes(axes, x="class", y="examples")
    edges = np.arange(len(classes) + 1) - 0.5
    for index, (name, values) in enumerate(named.items()):
        color = COLORS[index % len(COLORS)]
        axes.stairs(values, edges, baseline=None, color=color, linewidth=1.2, label=name)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=SMALL_SIZE)
    return figure


def target_histogram(
    values: Mapping[str, Float[np.ndarray, " examples"]],
    title: str | None = None,
    *,
    x: str = "target",
) -> Figure:
    """Histogram of numeric targets, as shares of each split, over common bins.

    Shares, so that splits of different sizes can be compared. The legend gives the number of
    examples in each split; targets that are not finite are not shown.

    Args:
        values: name of a split to its targets.
        title: above the panel.
        x: label of the horizontal axis.

    Raises:
        ValueError: there is no finite target.
    """
    finite = {split: v[np.isfinite(v)].astype(np.float64) for split, v in values.items()}
    every = np.concatenate([*finite.values(), np.zeros(0)])
    if every.size == 0:
        raise ValueError("no split has a finite target, expected at least one")
    # A rule that adapts to the data, within what a panel can show.
    count = min(max(len(np.histogram_bin_edges(every, "sturges")) - 1, 10), 50)
    edges = np.histogram_bin_edges(every, count)
    figure = new_figure(6.8, 3.8, title)
    axes = figure.subplots()
    style_axes(axes, x=x, y="share of the split")
    for index, (split, v) in enumerate(finite.items()):
        color = COLORS[index % len(COLORS)]
        shares = np.histogram(v, edges)[0] / max(len(v), 1)
        name = _with_size(split, len(values[split]))
        axes.stairs(shares, edges, color=color, linewidth=1.8, label=name)
        if index == 0:
            axes.stairs(shares, edges, color=color, alpha=0.15, fill=True)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=SMALL_SIZE)
    return figure


def _with_size(split: str, count: int) -> str:
    """`train (54,000)`."""
    return f"{split} ({count:,})"
