"""Classes told apart in the plane: points with their labels, and regions of a decision."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Integer, UInt8
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from dl_jax.plots.style import FAINT, INK, SMALL_SIZE, new_figure, style_axes

PALETTE = (*colormaps["tab10"].colors, *colormaps["tab20"].colors[1::2])  # pyright: ignore


def labeled_points(
    panels: Mapping[str, Float[np.ndarray, "points 2"]],
    labels: Integer[np.ndarray, " points"],
    classes: Sequence[str],
    *,
    title: str | None = None,
) -> Figure:
    """Points in the plane, one panel for each way of placing them, in the colors of their classes.

    The name of a class stands at the median of its points. Of more than 20 classes some share a
    color.

    Args:
        panels: title to the places of the points.
        labels: class of each point.
        classes: names of the classes, in order.
        title: above all panels.
    """
    figure = new_figure(5.2 * len(panels), 5.0, title)
    for axes, (name, places) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        style_axes(axes, title=name, grid=False)
        axes.set(xticks=[], yticks=[])
        for label, name_of_class in enumerate(classes):
            own = places[labels == label]
            if not len(own):
                continue
            axes.scatter(*own.T, s=7, color=_color(label), alpha=0.65, linewidths=0)
            axes.text(
                *np.median(own, 0), name_of_class, ha="center", va="center", color=INK,
                fontsize=SMALL_SIZE if len(classes) <= 20 else 6.0, fontweight="bold",
                path_effects=[withStroke(linewidth=2.5, foreground="white")],
            )  # fmt: skip
    return figure


def class_regions(
    predicted: Integer[np.ndarray, "rows columns"],
    confidence: Float[np.ndarray, "rows columns"],
    extent: tuple[float, float, float, float],
    images: UInt8[np.ndarray, "corners height width channels"],
    places: Float[np.ndarray, "corners 2"],
    classes: Sequence[str],
    *,
    title: str | None = None,
) -> Figure:
    """Which class is predicted everywhere on a plane through some images.

    Colors are stronger where the prediction is more confident; regions of different classes are
    parted by a line.

    Args:
        predicted: class at each place; the first row is the lowest.
        confidence: its probability.
        extent: `(left, right, bottom, top)` of the plane.
        images: shown at their places.
        places: of the images on the plane.
        classes: names of the classes, in order.
        title: above the panel.
    """
    figure = new_figure(7.4, 5.4, title)
    axes = figure.subplots()
    present = [int(label) for label in np.unique(predicted)]
    colors = np.ones((*predicted.shape, 3))
    for label in present:
        chosen = predicted == label
        strength = confidence[chosen][:, None]
        colors[chosen] = np.clip(strength * np.array(_color(label)) + (1 - strength), 0, 1)
    axes.imshow(colors, extent=extent, origin="lower", interpolation="nearest", aspect="equal")
    x, y = (
        np.linspace(low, high, count)
        for low, high, count in zip(extent[::2], extent[1::2], predicted.shape[::-1], strict=True)
    )
    for label in present[:-1]:  # the last has no border with itself
        axes.contour(x, y, predicted == label, levels=[0.5], colors=["white"], linewidths=1.2)
    for image, place in zip(images, places, strict=True):
        box = OffsetImage(
            image[..., 0] if image.shape[-1] == 1 else image, zoom=44 / image.shape[0], cmap="gray"
        )
        axes.add_artist(AnnotationBbox(box, tuple(place), pad=0.12, bboxprops={"ec": INK}))
    style_axes(axes, grid=False)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color=FAINT)
    handles = [Patch(color=_color(label), label=classes[label]) for label in present]
    figure.legend(
        handles=handles, loc="outside right upper", fontsize=SMALL_SIZE, frameon=False,
        title="predicted", title_fontsize=SMALL_SIZE, ncols=1 + len(handles) // 24,
    )  # fmt: skip
    return figure


def _color(label: int) -> tuple[float, float, float]:
    return PALETTE[label % len(PALETTE)]
