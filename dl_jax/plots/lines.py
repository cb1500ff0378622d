"""Named curves, in one panel or in several."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Real
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dl_jax.plots.style import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    SMALL_SIZE,
    VERMILLION,
    new_figure,
    style_axes,
)

COLORS = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, INK)
STYLES = ("-", "--", ":", "-.")
Curve = tuple[Real[np.ndarray, " points"], Float[np.ndarray, "replicas points"]]


def named_lines(
    curves: Mapping[str, Curve],
    *,
    x: str,
    y: str,
    log_scale: bool = False,
    log_x: bool = False,
    points: tuple[np.ndarray, np.ndarray] | None = None,
    title: str | None = None,
) -> Figure:
    """Curves in different colors and line styles, each the mean of its replicas with a band.

    The band is ± one standard deviation (of a sample). On a logarithmic axis, mean and standard
    deviation are those of the logarithms; otherwise the band could reach below zero. Later curves
    are drawn thinner, so that all can be seen where they coincide. A replica with values that are
    not finite is left out, and counted in the legend.

    Args:
        curves: name to the x values, and the y values of each replica.
        x: label of the horizontal axis.
        y: label of the vertical axis.
        log_scale: whether the vertical axis is logarithmic.
        log_x: whether the horizontal axis is logarithmic.
        points: x and y values of single observations, drawn behind the curves.
        title: above the panel.
    """
    figure = new_figure(6.8, 4.3, title)
    axes = figure.subplots()
    style_axes(axes, x=x, y=y)
    if points is not None:
        axes.scatter(*points, s=9, color=INK, alpha=0.35, linewidths=0, label="observations")
    _draw(axes, curves, log_scale)
    if log_scale:
        axes.set_yscale("log")
    if log_x:
        axes.set_xscale("log")
    axes.legend(frameon=False, fontsize=SMALL_SIZE)
    return figure


def named_panels(
    panels: Mapping[str, Mapping[str, Curve]],
    *,
    x: str,
    y: str = "",
    columns: int | None = None,
    title: str | None = None,
) -> Figure:
    """Panels side by side over the same horizontal axis, each as `named_lines` draws it.

    Args:
        panels: title of each panel to its curves.
        x: label of the horizontal axis.
        y: label of the vertical axis, at the first panel.
        columns: panels in a row; all where None.
        title: above all panels.
    """
    columns = min(columns or len(panels), len(panels))
    rows = -(-len(panels) // columns)
    figure = new_figure(4.6 * columns, 3.9 * rows, title)
    every = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in every[len(panels) :]:
        axes.set_visible(False)
    for axes, (name, curves) in zip(every, panels.items(), strict=False):
        style_axes(axes, title=name, x=x, y=y if axes is every[0] else "")
        _draw(axes, curves, log_scale=False)
        axes.legend(frameon=False, fontsize=SMALL_SIZE)
    return figure


def _draw(axes: Axes, curves: Mapping[str, Curve], log_scale: bool) -> None:
    widths = np.linspace(3.6, 1.4, len(curves)) if len(curves) > 1 else [1.8]
    for index, (name, (at, values)) in enumerate(curves.items()):
        color = COLORS[index % len(COLORS)]
        finite = np.isfinite(values).all(1)
        if not finite.all():
            name = f"{name} ({(~finite).sum()} of {len(values)} diverged)"
            values = values[finite] if finite.any() else values
        low, mean, high = _band(values, log_scale)
        axes.plot(
            at, mean, color=color, linestyle=STYLES[index % len(STYLES)],
            linewidth=widths[index], label=name, marker="o" if len(at) == 1 else None,
        )  # fmt: skip
        if len(values) > 1:
            axes.fill_between(at, low, high, color=color, alpha=0.2, lw=0)


def _band(
    values: Float[np.ndarray, "replicas points"], log_scale: bool
) -> tuple[Float[np.ndarray, " points"], ...]:
    """Mean - std, mean and mean + std over replicas."""
    with np.errstate(divide="ignore", invalid="ignore"):  # log of zero
        values = np.log(values) if log_scale else values
        mean = values.mean(0)
        std = values.std(0, ddof=1) if len(values) > 1 else np.zeros_like(mean)
    band = mean - std, mean, mean + std
    return tuple(np.exp(edge) for edge in band) if log_scale else band
