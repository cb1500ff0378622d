"""The confusion matrix as a figure."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Integer
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from dl_jax.plots.style import (
    FAINT,
    INK,
    LABEL_SIZE,
    SEQUENTIAL,
    SMALL_SIZE,
    new_figure,
    style_axes,
)

# With more classes than this, a count no longer fits in its cell.
MAX_PRINTED = 25


def confusion_matrix(
    confusion: Integer[np.ndarray, "classes classes"],
    classes: Sequence[str],
    *,
    title: str | None = None,
) -> Figure:
    """The counts of a confusion matrix, colored by their share of the row.

    A row is a true class, so its shares add up to 1. Colors follow the square root of the share;
    on a linear scale, a confusion of one percent would look like none. Counts are printed for up
    to 25 classes; more classes are ordered so that those that are confused stand close together.

    Args:
        confusion: rows true, columns predicted, as from `dl_jax.evaluation.confusion_matrix`.
        classes: names of the classes, in order.
        title: above the matrix.

    Raises:
        ValueError: the matrix is not square with one row per class.
    """
    count = len(classes)
    if confusion.shape != (count, count):
        raise ValueError(
            f"the confusion matrix has shape {confusion.shape}, expected {(count, count)} for "
            f"{count} class names"
        )
    totals = confusion.sum(1, keepdims=True)
    shares = np.divide(confusion, totals, out=np.zeros(confusion.shape), where=totals > 0)
    printed = count <= MAX_PRINTED
    if not printed:
        order = _order_of_confusion(shares)
        shares = shares[np.ix_(order, order)]
        classes = [classes[int(label)] for label in order]
    digits = len(str(confusion.max()))
    cell = max(0.46, 0.1 + 0.09 * digits) if printed else max(0.14, 4.6 / count)
    longest = max(len(name) for name in classes)
    margin = 0.9 + 0.075 * longest
    size = max(cell * count + margin, 3.6)
    figure = new_figure(size + 1.1, size + 0.3, title, images=True)
    axes = figure.subplots()
    scale = PowerNorm(0.5, vmin=0, vmax=1)
    image = axes.imshow(shares, cmap=SEQUENTIAL, norm=scale, interpolation="nearest")
    style_axes(axes, x="predicted class", y="true class", grid=False)
    axes.spines[:].set(visible=True, color=FAINT)
    font_size = SMALL_SIZE if printed else 6.0
    rotation: dict[str, Any] = {}
    if not printed:
        rotation = {"rotation": 90}
    elif longest > 3:
        rotation = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(count), labels=list(classes), fontsize=font_size, **rotation)
    axes.set_yticks(range(count), labels=list(classes), fontsize=font_size)
    axes.tick_params(length=0)
    if printed:
        for row in range(count):
            for column in range(count):
                axes.text(
                    column,
                    row,
                    f"{confusion[row, column]}",
                    ha="center",
                    va="center",
                    fontsize=SMALL_SIZE,
                    color=_readable_on(SEQUENTIAL(scale(shares[row, column]))),
                    fontweight="bold" if row == column else "normal",
                    alpha=1.0 if confusion[row, column] else 0.35,
                )
    bar = figure.colorbar(
        image, ax=axes, fraction=0.046, pad=0.03, ticks=(0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1)
    )
    bar.set_label("share of the true class (square-root scale)", fontsize=LABEL_SIZE, color=INK)
    bar.ax.tick_params(labelsize=SMALL_SIZE)
    bar.outline.set_visible(False)  # pyright: ignore
    return figure


def _order_of_confusion(
    shares: Float[np.ndarray, "classes classes"],
) -> Integer[np.ndarray, " classes"]:
    """An order in which classes are close that are often taken for each other."""
    from scipy.cluster.hierarchy import leaves_list, linkage  # a fifth of a second
    from scipy.spatial.distance import squareform

    apart = 1 - (shares + shares.T) / 2
    np.fill_diagonal(apart, 0)
    return leaves_list(linkage(squareform(apart), "average", optimal_ordering=True))


def _readable_on(color: tuple[float, float, float, float]) -> str:
    """A dark or a white text color, whichever contrasts with the background."""
    red, green, blue, _ = color
    # Luma of ITU-R BT.601.
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"
