"""What a critic says of every place in the plane, with real points and samples."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from dl_jax.plots.style import DIVERGING, FAINT, INK, SMALL_SIZE, VERMILLION, new_figure

REAL = "#F2C14E"
"""Real points lie in light sand under the samples."""


class ScoredPlane(NamedTuple):
    """A critic at one time, with samples of that time.

    Attributes:
        title: such as the step.
        scores: of places on a grid over the square, `[rows, columns]`, the lowest row first.
        samples: points.
    """

    title: str
    scores: Float[np.ndarray, "rows columns"]
    samples: Float[np.ndarray, "count 2"]


def scored_planes(
    rows: Mapping[str, Sequence[ScoredPlane]],
    real: Float[np.ndarray, "points 2"],
    side: float,
    *,
    title: str | None = None,
) -> Figure:
    """A row of panels for each critic: contours of its scores, real points and samples.

    Each panel has its own scale, blue for the lowest scores, red for the highest: a critic's level
    means nothing. A panel whose scores are not finite has none.

    Args:
        rows: name to panels, from the left.
        real: real points.
        side: half the side of the square around 0 that is drawn.
        title: above all panels.
    """
    columns = max(map(len, rows.values()))
    figure = new_figure(2.15 * columns + 0.5, 2.25 * len(rows) + 0.4, title, images=True)
    panels = figure.subplots(len(rows), columns, squeeze=False)
    extent = (-side, side, -side, side)
    for row, (name, planes) in zip(panels, rows.items(), strict=True):
        for axes in row[len(planes) :]:
            axes.set_visible(False)
        for axes, plane in zip(row, planes, strict=False):
            axes.set(xticks=[], yticks=[], xlim=extent[:2], ylim=extent[2:], aspect="equal")
            axes.spines[:].set_color(FAINT)
            if np.isfinite(plane.scores).all():
                axes.contourf(plane.scores, 16, cmap=DIVERGING, extent=extent, alpha=0.75)
            axes.scatter(*real.T, s=2.5, color=REAL, linewidths=0)
            axes.scatter(*plane.samples.T, s=2.5, color=INK, linewidths=0)
            axes.set_title(plane.title, fontsize=SMALL_SIZE, color=INK)
            if not np.isfinite(plane.samples).all():
                axes.text(0, 0, "diverged", ha="center", va="center", color=VERMILLION)
        row[0].set_ylabel(name, fontsize=SMALL_SIZE, color=INK)
    figure.supxlabel(
        "real points are yellow, samples black; the critic's score is low in blue, high in red",
        fontsize=SMALL_SIZE, color=FAINT,
    )  # fmt: skip
    return figure
