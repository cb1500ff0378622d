"""Counts of several kinds side by side."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Real
from matplotlib.figure import Figure

from dl_jax.plots.lines import COLORS
from dl_jax.plots.style import SMALL_SIZE, new_figure, style_axes


def grouped_bars(
    heights: Mapping[str, Real[np.ndarray, " categories"]],
    categories: Sequence[str],
    *,
    x: str,
    y: str,
    title: str | None = None,
) -> Figure:
    """For each category one bar of each kind, told apart by color.

    Args:
        heights: name of a kind to the heights of its bars; fewer than there are categories leave
            the last ones empty.
        categories: names under the groups.
        x: label of the horizontal axis.
        y: label of the vertical axis.
        title: above the panel.
    """
    count = len(categories)
    figure = new_figure(min(max(4.0, 0.62 * count + 1.2), 9.0), 3.8, title)
    axes = figure.subplots()
    style_axes(axes, x=x, y=y)
    axes.grid(False, axis="x")
    width = 0.8 / len(heights)
    for index, (name, values) in enumerate(heights.items()):
        at = np.arange(len(values)) + (index - (len(heights) - 1) / 2) * width
        axes.bar(at, values, width * 0.92, color=COLORS[index % len(COLORS)], label=name)
    ticks = range(0, count, max(1, -(-count // 20)))  # at most twenty names fit
    axes.set_xticks(ticks, labels=[categories[tick] for tick in ticks])
    axes.tick_params(axis="x", length=0)
    axes.legend(frameon=False, fontsize=SMALL_SIZE)
    return figure
