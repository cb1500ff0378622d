"""Functions of two variables, and paths of optimizers on them."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from dl_jax.plots.style import (
    FAINT,
    INK,
    LABEL_SIZE,
    SEQUENTIAL,
    SMALL_SIZE,
    VERMILLION,
    new_figure,
    style_axes,
)

Field = Callable[[Float[np.ndarray, "..."], Float[np.ndarray, "..."]], Float[np.ndarray, "..."]]


def paths_on_contours(
    function: Field,
    extent: tuple[float, float, float, float],
    paths: Mapping[str, Float[np.ndarray, "points 2"]],
    minima: Float[np.ndarray, "count 2"],
    *,
    title: str | None = None,
) -> Figure:
    """One panel for each path, over the contours of the function, on a logarithmic scale.

    Args:
        function: of two arrays of one shape.
        extent: `(x_min, x_max, y_min, y_max)`.
        paths: name to the points visited, in order.
        minima: minima of the function.
        title: above all panels.
    """
    columns = min(3, len(paths))
    rows = -(-len(paths) // columns)
    figure = new_figure(3.5 * columns + 0.8, 3.2 * rows + 0.5, title)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    x, y = np.meshgrid(np.linspace(*extent[:2], 240), np.linspace(*extent[2:], 240))
    values = np.asarray(function(x, y))
    values = values - values.min() + 1e-2
    levels = np.geomspace(values.min(), values.max(), 22)
    norm = LogNorm(values.min(), values.max())
    filled = None
    for axes, (name, path) in zip(panels.flat, paths.items(), strict=False):
        filled = axes.contourf(x, y, values, levels, cmap=SEQUENTIAL, norm=norm)
        axes.contour(x, y, values, levels, colors="white", linewidths=0.3)
        style_axes(axes, title=name, grid=False)
        axes.plot(
            path[:, 0], path[:, 1], color=VERMILLION, linewidth=1.4, marker="o", markersize=2.2
        )
        axes.plot(*path[0], marker="s", color="white", markeredgecolor=INK, markersize=7)
        axes.plot(
            minima[:, 0], minima[:, 1], linestyle="none", marker="*", color="#FFD700",
            markeredgecolor=INK, markersize=12,
        )  # fmt: skip
        axes.set(xlim=extent[:2], ylim=extent[2:])
    for axes in panels.flat[len(paths) :]:
        axes.set_visible(False)
    if filled is not None:
        bar = figure.colorbar(filled, ax=panels, fraction=0.03, pad=0.02, format="%.3g")
        bar.set_label("above the minimum", fontsize=LABEL_SIZE, color=INK)
        bar.ax.tick_params(labelsize=SMALL_SIZE)
    figure.supxlabel("square: start   star: minimum", fontsize=SMALL_SIZE, color=FAINT)
    return figure


def landscapes(
    along: Float[np.ndarray, " points"],
    heights: Mapping[str, Float[np.ndarray, "points points"]],
    *,
    title: str | None = None,
) -> Figure:
    """Functions on a square, each as contours and as a surface, on one logarithmic scale.

    Args:
        along: positions along both directions.
        heights: name to positive values; rows follow the second direction.
        title: above all panels.
    """
    figure = new_figure(10.4, 4.6 * len(heights), title)
    every = np.concatenate([each.ravel() for each in heights.values()])
    norm = LogNorm(every.min(), every.max())
    levels = np.geomspace(every.min(), every.max(), 24)
    for row, (name, values) in enumerate(heights.items()):
        flat = figure.add_subplot(len(heights), 2, 2 * row + 1)
        filled = flat.contourf(along, along, values, levels, cmap=SEQUENTIAL, norm=norm)
        flat.contour(along, along, values, levels, colors="white", linewidths=0.4)
        flat.plot(0, 0, marker="*", color="#FFD700", markeredgecolor=INK, markersize=13)
        flat.set_aspect("equal")
        style_axes(flat, title=name, x="first direction", y="second direction", grid=False)
        bar = figure.colorbar(filled, ax=flat, fraction=0.046, pad=0.03, format="%.2g")
        bar.set_label("loss", fontsize=LABEL_SIZE, color=INK)
        bar.ax.tick_params(labelsize=SMALL_SIZE)
        space: Any = figure.add_subplot(len(heights), 2, 2 * row + 2, projection="3d")
        x, y = np.meshgrid(along, along)
        space.plot_surface(
            x, y, np.log10(values), cmap=SEQUENTIAL, linewidth=0.2, edgecolor="white",
            vmin=np.log10(every.min()), vmax=np.log10(every.max()),
        )  # fmt: skip
        space.set_zlim(np.log10(every.min()), np.log10(every.max()))
        space.set_xlabel("first direction", fontsize=SMALL_SIZE, color=INK)
        space.set_ylabel("second direction", fontsize=SMALL_SIZE, color=INK)
        space.set_zlabel("log10 of the loss", fontsize=SMALL_SIZE, color=INK)
        space.tick_params(labelsize=SMALL_SIZE - 1)
        space.locator_params(nbins=5)
        space.set_box_aspect(None, zoom=0.85)  # or the label of the vertical axis is cut off
        space.view_init(elev=32, azim=-60)
    return figure
