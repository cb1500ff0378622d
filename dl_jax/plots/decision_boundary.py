"""The decision boundary of a classifier of points in the plane."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Array, Float, Integer
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from dl_jax.plots.style import DIVERGING, INK, LABEL_SIZE, SMALL_SIZE, new_figure, style_axes

Points = Float[np.ndarray, "examples 2"]
Probability = Callable[[Points], Float[Array | np.ndarray, " examples"]]
Grid = tuple[Float[np.ndarray, "pixels 2"], tuple[float, float, float, float]]
LAST_FRAME_REPEATS = 6  # so that the animation pauses before it repeats
MARKERS = (("o", "#053061"), ("^", "#67001f"))  # shapes differ as well as colors


def decision_boundary(
    points: Points,
    labels: Integer[np.ndarray, " examples"],
    probability: Probability,
    *,
    meaning: str = "probability of label 1",
    resolution: int = 200,
    title: str | None = None,
) -> Figure:
    """Points of two labels on the probability of label 1, with the decision boundary.

    Args:
        points: to draw; the panel extends a little beyond them.
        labels: 0 or 1.
        probability: of label 1, for any points; the boundary is where it is one half.
        meaning: label of the color scale.
        resolution: pixels of the background along each axis.
        title: above the panel.
    """
    figure = new_figure(5.6, 4.9, title, images=True)
    axes = figure.subplots()
    grid = _grid(points, resolution)
    shades = _draw(axes, points, labels, grid, np.asarray(probability(grid[0])), resolution)
    bar = figure.colorbar(shades, ax=axes, fraction=0.046, pad=0.03)
    bar.set_label(meaning, fontsize=LABEL_SIZE, color=INK)
    bar.ax.tick_params(labelsize=SMALL_SIZE)
    return figure


def save_boundary_animation(
    path: str | os.PathLike[str],
    points: Points,
    labels: Integer[np.ndarray, " examples"],
    frames: Sequence[tuple[str, Probability]],
    *,
    resolution: int = 120,
    frames_per_second: int = 8,
) -> Path:
    """Write the decision boundary over the course of training as an animated GIF.

    Args:
        path: ends in `.gif`.
        points: to draw.
        labels: 0 or 1.
        frames: title and probability of each frame.
        resolution: pixels of the background along each axis.
        frames_per_second: speed of the animation.
    """
    figure = new_figure(4.8, 4.6, images=True)
    axes = figure.subplots()
    grid = _grid(points, resolution)

    def show(frame: tuple[str, Probability]) -> Sequence[Axes]:
        axes.clear()
        _draw(axes, points, labels, grid, np.asarray(frame[1](grid[0])), resolution)
        axes.set_title(frame[0], fontsize=LABEL_SIZE, color=INK, loc="left")
        return [axes]

    animation = FuncAnimation(
        figure, show, frames=[*frames, *[frames[-1]] * LAST_FRAME_REPEATS], cache_frame_data=False
    )  # type: ignore[arg-type]
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    animation.save(path, writer=PillowWriter(fps=frames_per_second), dpi=90)
    return path


def _grid(points: Points, resolution: int) -> Grid:
    """A square grid of points around the given ones, and its extent."""
    low, high = points.min(0), points.max(0)
    center, half = (low + high) / 2, 0.55 * float((high - low).max())
    left, right, bottom, top = (float(v) for c in center for v in (c - half, c + half))
    x, y = np.linspace(left, right, resolution), np.linspace(bottom, top, resolution)
    pixels = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2).astype(np.float32)
    return pixels, (left, right, bottom, top)


def _draw(
    axes: Axes,
    points: Points,
    labels: Integer[np.ndarray, " examples"],
    grid: Grid,
    probabilities: Float[np.ndarray, " pixels"],
    resolution: int,
) -> AxesImage:
    pixels, extent = grid
    field = probabilities.reshape(resolution, resolution)
    shades = axes.imshow(
        field, cmap=DIVERGING, vmin=0, vmax=1, extent=extent, origin="lower", alpha=0.75,
        interpolation="bilinear", aspect="equal",
    )  # fmt: skip
    if field.min() < 0.5 < field.max():
        x, y = (pixels[:, axis].reshape(resolution, resolution) for axis in (0, 1))
        axes.contour(x, y, field, levels=[0.5], colors=[INK], linewidths=1.6)
    for label, (marker, color) in enumerate(MARKERS):
        chosen = points[labels == label]
        axes.scatter(
            chosen[:, 0], chosen[:, 1], s=13, marker=marker, color=color, edgecolors="white",
            linewidths=0.4, label=f"label {label}",
        )  # fmt: skip
    style_axes(axes, x="$x_1$", y="$x_2$", grid=False)
    # Above the panel, where it hides no points; the title of a frame is at the left.
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, fontsize=SMALL_SIZE,
                frameon=False, borderaxespad=0.2, columnspacing=1, handletextpad=0.2)  # fmt: skip
    return shades
