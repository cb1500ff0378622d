"""What the layers of a network make of one image."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure

from dl_jax.plots.show_image import show_image
from dl_jax.plots.style import FAINT, INK, SMALL_SIZE, hide_axes, new_figure


def feature_maps(
    image: UInt8[np.ndarray, "height width channels"],
    layers: Mapping[str, Float[np.ndarray, "rows columns features"]],
    *,
    count: int = 8,
    title: str | None = None,
) -> Figure:
    """The image, and a row for each layer with those of its features that vary most over places.

    A feature is drawn on its own scale, from its smallest value (dark) to its largest (bright).

    Args:
        image: gray or color.
        layers: name to the layer's output.
        count: features drawn of each layer, if it has as many.
        title: above all.
    """
    figure = new_figure(0.95 * (count + 1) + 0.6, 0.95 * len(layers) + 0.7, title)
    panels = figure.subplots(len(layers), count + 1, squeeze=False)
    for row, (name, features) in zip(panels, layers.items(), strict=True):
        for axes in row:
            hide_axes(axes)
        row[1].set_ylabel(name, fontsize=SMALL_SIZE, color=INK)
        most = np.argsort(-features.std((0, 1)), kind="stable")[:count]
        for axes, feature in zip(row[1:], most, strict=False):
            axes.imshow(features[..., feature], cmap="magma", interpolation="nearest")
        rows, columns, total = features.shape
        row[-1].set_xlabel(f"{total} of {rows}x{columns}", fontsize=SMALL_SIZE, color=FAINT)
    show_image(panels[0, 0], image)
    return figure
