"""Filters of the first layer."""

from collections.abc import Sequence
from math import ceil, prod

import numpy as np
from jaxtyping import Array, Float
from matplotlib import colormaps
from matplotlib.figure import Figure

from dl_jax.plots.style import DIVERGING, FAINT, INK, LABEL_SIZE, SMALL_SIZE, hide_axes, new_figure


def first_layer_filters(
    kernel: Float[Array | np.ndarray, "..."],
    image_shape: Sequence[int] | None = None,
    *,
    count: int = 64,
    title: str | None = None,
) -> Figure:
    """The first `count` filters of a layer whose inputs are images, one pixel per weight.

    All share one color scale, symmetric about zero, so that filters can be compared. A filter of
    color images is drawn as its red, green and blue parts side by side: weights are signed, so
    mixing the three into one color would hide them.

    Args:
        kernel: `[height, width, channels, filters]` of a convolution, or
            `[height * width * channels, units]` of a dense layer; 1 or 3 channels.
        image_shape: `(height, width, channels)` of the images, for a dense kernel.
        count: maximum number of filters to draw.
        title: above the filters.

    Raises:
        ValueError: the kernel is of neither shape, or does not fit the images.
    """
    filters = _as_filters(np.asarray(kernel, np.float32), image_shape)
    if count < 1:
        raise ValueError(f"count is {count}, expected at least 1")
    total, shown = len(filters), filters[:count]
    # Small filters get several pixels per weight, so that gaps can be narrower than a weight.
    zoom = max(1, 16 // max(shown.shape[1:3]))
    mosaic, corners = _mosaic(shown.repeat(zoom, axis=1).repeat(zoom, axis=2))
    finite = np.abs(shown[np.isfinite(shown)])
    limit = float(finite.max(initial=0)) or 1.0
    height, width = mosaic.shape
    _, tall, wide, channels = shown.shape
    scale = min(7 / width, 7 / height, 1.1 / (zoom * tall))  # inches per pixel
    figure = new_figure(max(width * scale, 2.6) + 1.2, height * scale + 0.9, title, images=True)
    axes = figure.subplots()
    hide_axes(axes)
    colors = colormaps[DIVERGING].with_extremes(bad="#808080")
    image = axes.imshow(mosaic, cmap=colors, vmin=-limit, vmax=limit, interpolation="nearest")
    for top, left in corners:
        seams = [left + zoom * wide * channel - 0.5 for channel in range(1, channels)]
        axes.vlines(seams, top - 0.5, top + zoom * tall - 0.5, color=INK, linewidth=1.0)
    note = f"{len(shown)} of {total} filters" if len(shown) < total else f"{total} filters"
    if channels == 3:
        note += ", each as its red | green | blue part"
    axes.set_xlabel(note, fontsize=SMALL_SIZE, color=FAINT)
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03)
    bar.set_label("weight", fontsize=LABEL_SIZE, color=INK)
    bar.ax.tick_params(labelsize=SMALL_SIZE)
    return figure


def _as_filters(
    kernel: Float[np.ndarray, "..."], image_shape: Sequence[int] | None
) -> Float[np.ndarray, "filters height width channels"]:
    if kernel.ndim == 4:
        filters = np.moveaxis(kernel, -1, 0)
    elif kernel.ndim == 2:
        if image_shape is None or len(image_shape) != 3 or prod(image_shape) != kernel.shape[0]:
            raise ValueError(
                f"image_shape is {image_shape}, expected (height, width, channels) with product "
                f"{kernel.shape[0]} for a dense kernel of shape {kernel.shape}"
            )
        filters = kernel.T.reshape(-1, *image_shape)
    else:
        raise ValueError(
            f"the kernel has shape {kernel.shape}, expected [height, width, channels, filters] or "
            "[inputs, units]"
        )
    if filters.shape[-1] not in (1, 3):
        raise ValueError(
            f"the kernel has {filters.shape[-1]} input channels, expected 1 or 3: pass that of the "
            "first layer"
        )
    return filters


def _mosaic(
    filters: Float[np.ndarray, "filters height width channels"],
) -> tuple[Float[np.ndarray, "rows columns"], list[tuple[int, int]]]:
    """All filters in one nearly square array, NaN between them, and their corners (top, left)."""
    count, height, width, channels = filters.shape
    gap = max(2, width // 7)
    tile_width = channels * width
    ideal = (count * (height + gap) / (tile_width + gap)) ** 0.5
    # Nearly square; among such shapes, the one with the fewest empty places in the last row.
    choices = range(max(1, round(0.7 * ideal)), min(count, round(1.5 * ideal)) + 1)
    columns = min(choices, key=lambda n: (-count % n, abs(n - ideal)))
    rows = ceil(count / columns)
    mosaic = np.full(
        (gap + rows * (height + gap), gap + columns * (tile_width + gap)), np.nan, np.float32
    )
    corners = [
        (gap + row * (height + gap), gap + column * (tile_width + gap))
        for row, column in (divmod(index, columns) for index in range(count))
    ]
    for weights, (top, left) in zip(filters, corners, strict=True):
        # [H, W, C] -> [H, C, W]: channels side by side along the width.
        strip = weights.transpose(0, 2, 1).reshape(height, tile_width)
        mosaic[top : top + height, left : left + tile_width] = strip
    return mosaic, corners
