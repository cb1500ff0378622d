"""Where in images a network finds evidence for a class."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure
from PIL import Image

from dl_jax.plots.show_image import show_image
from dl_jax.plots.style import INK, SMALL_SIZE, hide_axes, new_figure


def evidence_maps(
    images: UInt8[np.ndarray, "examples height width channels"],
    maps: Mapping[str, Float[np.ndarray, "examples rows columns"]],
    captions: Sequence[str],
    *,
    title: str | None = None,
) -> Figure:
    """A column for each image: itself, and under it the evidence of each kind, laid over it.

    Each map has its own scale, from nothing (clear) to its largest value (yellow): maps tell where,
    not how much.

    Args:
        images: gray or color.
        maps: title of a row to the maps, coarser than the images or as fine.
        captions: under each column.
        title: above all.
    """
    count, height, width = images.shape[:3]
    rows = 1 + len(maps)
    figure = new_figure(1.3 * count + 0.8, 1.3 * height / width * rows + 0.9, title)
    panels = figure.subplots(rows, count, squeeze=False)
    for row, name in enumerate(["image", *maps]):
        for column in range(count):
            axes = panels[row, column]
            hide_axes(axes)
            show_image(axes, images[column])
            if row:
                strength = _scaled(maps[name][column], height, width)
                axes.imshow(strength, cmap="inferno", vmin=0, vmax=1, alpha=0.8 * strength**0.5)
        panels[row, 0].set_ylabel(name, fontsize=SMALL_SIZE, color=INK)
    for axes, caption in zip(panels[-1], captions, strict=True):
        axes.set_xlabel(caption, fontsize=SMALL_SIZE, color=INK)
    return figure


def _scaled(
    evidence: Float[np.ndarray, "rows columns"], height: int, width: int
) -> Float[np.ndarray, "height width"]:
    """Bilinear in between, from 0 to 1."""
    fine = Image.fromarray(evidence.astype(np.float32)).resize(
        (width, height), Image.Resampling.BILINEAR
    )
    strength = np.asarray(fine)
    return np.clip(strength / (strength.max() or 1), 0, 1)
