"""Images by themselves: a grid of them, and named rows."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure

from dl_jax.plots.show_image import show_image
from dl_jax.plots.style import INK, SMALL_SIZE, hide_axes, new_figure

Images = (
    UInt8[np.ndarray, "count height width channels"]
    | Float[np.ndarray, "count height width channels"]
)


def image_grid(images: Images, *, columns: int = 8, title: str | None = None) -> Figure:
    """Images in rows, from left to right, as large as each other.

    Args:
        images: gray or color, uint8 or floats in [0, 1].
        columns: images in a row.
        title: above the grid.

    Raises:
        ValueError: there is no image or no column.
    """
    if columns < 1 or not len(images):
        raise ValueError(f"{len(images)} images in {columns} columns, expected at least one each")
    rows = [
        _joined(images[start : start + columns], columns)
        for start in range(0, len(images), columns)
    ]
    whole = np.concatenate([row for each in rows for row in (each, _gap(each))][:-1])
    shape = whole.shape[0] / whole.shape[1]
    width = min(0.75 * columns, 9.0)
    figure = new_figure(width, width * shape + 0.1, title, images=True)
    axes = figure.subplots()
    show_image(axes, whole)
    hide_axes(axes)
    return figure


def image_rows(rows: Mapping[str, Images], *, title: str | None = None) -> Figure:
    """A row of images under each name, all rows as long.

    Args:
        rows: name to images, gray or color, uint8 or floats in [0, 1].
        title: above all rows.

    Raises:
        ValueError: there are no rows, or they are not as long.
    """
    counts = {name: len(images) for name, images in rows.items()}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise ValueError(f"rows have {counts} images, expected as many in each, at least one")
    joined = {name: _joined(images, len(images)) for name, images in rows.items()}
    width = min(0.75 * max(counts.values()), 9.5)
    each = width * max(image.shape[0] / image.shape[1] for image in joined.values())
    names = 0.085 * max(len(line) for name in rows for line in name.split("\n"))
    figure = new_figure(width + names + 0.2, (each + 0.06) * len(rows) + 0.1, title, images=True)
    panels = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    for axes, (name, image) in zip(panels, joined.items(), strict=True):
        show_image(axes, image)
        hide_axes(axes)
        axes.set_ylabel(
            name, fontsize=SMALL_SIZE, color=INK, rotation=0, ha="right", va="center", labelpad=6
        )
    return figure


def _joined(images: Images, columns: int) -> np.ndarray:
    """Images beside each other with white between them, and white for those that are missing."""
    count, height, width, channels = images.shape
    blank = np.full((columns - count, height, width, channels), _white(images), images.dtype)
    every = np.concatenate([images, blank])
    between = np.full((height, 1, channels), _white(images), images.dtype)
    return np.concatenate([part for image in every for part in (image, between)][:-1], axis=1)


def _gap(row: np.ndarray) -> np.ndarray:
    return np.full((1, *row.shape[1:]), _white(row), row.dtype)


def _white(images: np.ndarray) -> int:
    return 255 if images.dtype == np.uint8 else 1
