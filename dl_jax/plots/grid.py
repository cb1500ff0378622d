"""Images with their predictions."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Integer, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dl_jax.evaluation import most_confident_mistakes
from dl_jax.plots.show_image import show_image
from dl_jax.plots.style import FAINT, INK, SMALL_SIZE, VERMILLION, hide_axes, new_figure

Images = (
    UInt8[np.ndarray, "examples height width channels"]
    | (Float[np.ndarray, "examples height width channels"])
)


def prediction_grid(
    images: Images,
    labels: Integer[np.ndarray, " examples"],
    probabilities: Float[np.ndarray, "examples classes"],
    classes: Sequence[str],
    *,
    columns: int = 6,
    title: str | None = None,
) -> Figure:
    """A grid of images, each with its predicted class, the confidence and the true class.

    A correct prediction has a tick; a wrong one has a cross, bold type and a thick frame.

    Args:
        images: gray or color, uint8 or floats in [0, 1].
        labels: true classes.
        probabilities: of each class, for each image.
        classes: names of the classes, in order.
        columns: images in a row.
        title: above the grid.

    Raises:
        ValueError: the shapes do not match, there is no image, or images are out of range.
    """
    _check(images, labels, probabilities, classes)
    if columns < 1:
        raise ValueError(f"columns is {columns}, expected at least 1")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    longest = max(len(name) for name in classes)
    # Wide enough for a tick, the longest name and a confidence in bold.
    tile = max(1.15, 0.082 * (longest + 9))
    shape = images.shape[1] / images.shape[2]
    figure = new_figure(max(tile * columns + 0.3, 4.8), (tile * shape + 0.36) * rows + 0.6, title)
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06)  # pyright: ignore
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    predicted, confidence = probabilities.argmax(-1), probabilities.max(-1)
    for index, axes in enumerate(panels):
        hide_axes(axes)
        if index < len(images):
            _tile(
                axes,
                images[index],
                classes[int(predicted[index])],
                classes[int(labels[index])],
                float(confidence[index]),
            )
    wrong = int((predicted != labels).sum())
    figure.supxlabel(
        f"✓ correct  ✗ wrong ({wrong} of {len(images)}), with the prediction's probability",
        fontsize=SMALL_SIZE,
        color=FAINT,
    )
    return figure


def confident_mistakes(
    images: Images,
    labels: Integer[np.ndarray, " examples"],
    probabilities: Float[np.ndarray, "examples classes"],
    classes: Sequence[str],
    *,
    count: int = 24,
    columns: int = 6,
    title: str | None = "Most confident mistakes",
) -> Figure:
    """A grid of up to `count` wrong predictions, the most confident first.

    Arguments as for `prediction_grid`, for a whole dataset. Without mistakes, the figure says so.

    Raises:
        ValueError: the shapes do not match, or images are out of range.
    """
    _check(images, labels, probabilities, classes)
    chosen = most_confident_mistakes(probabilities, labels, count)
    if len(chosen) == 0:
        figure = new_figure(4.5, 1.5, title)
        figure.text(
            0.5,
            0.4,
            f"no mistakes in {len(labels)} examples",
            ha="center",
            fontsize=SMALL_SIZE,
            color=INK,
        )
        return figure
    return prediction_grid(
        images[chosen],
        labels[chosen],
        probabilities[chosen],
        classes,
        columns=columns,
        title=title,
    )


def _check(
    images: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]
) -> None:
    count = len(images)
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or count == 0:
        raise ValueError(
            f"images have shape {images.shape}, expected [examples, height, width, channels] with "
            "at least one example and 1 or 3 channels"
        )
    if labels.shape != (count,) or probabilities.shape != (count, len(classes)):
        raise ValueError(
            f"labels of shape {labels.shape} and probabilities of shape {probabilities.shape} do "
            f"not fit {count} images of {len(classes)} classes"
        )
    if images.dtype != np.uint8 and not (images.min() >= 0 and images.max() <= 1):
        raise ValueError(
            f"images lie in [{images.min():.3g}, {images.max():.3g}], expected uint8 or "
            "floats in [0, 1]: pass the images before standardization"
        )


def _tile(axes: Axes, image: np.ndarray, predicted: str, true: str, confidence: float) -> None:
    correct = predicted == true
    show_image(axes, image)
    axes.spines[:].set(
        visible=True,
        color=FAINT if correct else VERMILLION,
        linewidth=0.8 if correct else 3.0,
    )
    axes.set_xlabel(
        f"{'✓' if correct else '✗'} {predicted} ({confidence:.0%})\ntrue: {true}",
        fontsize=SMALL_SIZE,
        color=INK if correct else VERMILLION,
        fontweight="normal" if correct else "bold",
        labelpad=3,
    )
