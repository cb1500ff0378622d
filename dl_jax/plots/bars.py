"""Counts of several kinds side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Real
from matplotlib.figure import Figure

from dl_jax.plots.lines import COLORS
from dl_jax.plots.style import SMALL_SIZE, new_figure, style_axes

# More names than this do not fit below the panel: only some are printed.
MAX_NAMES = 20


def grouped_bars(
    heights: Mapping[str, Real[np.ndarray, " categories"]],
    categories: Sequence[str],
    *,
    x: str,
    y: str,
    title: str | None = None,
) -> Figure:
    """One group of bars for each category, with one bar of each kind, distinguished by color.

    Args:
        heights: name of a kind to the heights of its bars; if there are fewer than categories, the
            last ones have none.
        categories: names under the groups.
        x: label of the horizontal axis.
        y: label of the vertical axis.
        title: above the panel.
    """
    count = len(categories)
    inches = min(max(4.8, 0.62 * count + 1.2), 9.0)
    figure = new_figure(inches, 3.8, title)
    axes = figure.subplots()
    style_axes(axes, x=x, y=y)
    axes.grid(False, axis="x")
    width = 0.8 / len(heights)
    for index, (name, values) in enumerate(heights.items()):
        at = np.arange(len(values)) + (index - (len(heights) - 1) / 2) * width
        axes.bar(at, values, width * 0.92, color=COLORS[index % len(COLORS)], label=name)
    ticks = range(0, count, max(1, -(-count // MAX_NAMES)))
    names = [categories[tick] for tick in ticks]
    slanted: dict[str, Any] = {}
    if max(len(name) for name in names) > 3:
        slanted = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(ticks, labels=names, **slanted)
    axes.tick_params(axis="x", length=0)
    if len(heights) > 1:  # above the panel, where it hides no bar
        columns = int((inches - 1) / (0.45 + 0.075 * max(map(len, heights))))
        columns = max(1, min(len(heights), columns))
        axes.legend(frameon=False, fontsize=SMALL_SIZE, loc="lower right", bbox_to_anchor=(1, 1),
                    ncols=columns, borderaxespad=0.2, columnspacing=1.2)  # fmt: skip
    return figure
