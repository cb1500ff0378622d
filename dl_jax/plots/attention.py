"""Attention weights: which step looks at which."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from dl_jax.plots.style import (
    FAINT,
    INK,
    LABEL_SIZE,
    SEQUENTIAL,
    SMALL_SIZE,
    new_figure,
)

MAX_NAMED = 60
"""Steps whose names are still legible."""


def attention_maps(
    weights: Float[np.ndarray, "layers heads time source"],
    steps: Sequence[str],
    sources: Sequence[str] | None = None,
    *,
    title: str | None = None,
) -> Figure:
    """A panel for each head, a row of panels for each layer; each row of a panel has the sum 1.

    Args:
        weights: how much each step attends to each source.
        steps: the steps that attend, as text: the rows of a panel.
        sources: what they attend to, as text: the columns; the steps themselves where None.
        title: above all panels.
    """
    sources = steps if sources is None else sources
    layers, heads, time, source = weights.shape
    words = max(map(len, sources)) > 2  # longer than an escaped character: turned
    side = min(5.0, max(1.7, (0.11 if words else 0.085) * max(time, source)))
    height = side * time / source * layers + (2.0 if words else 1.2)
    figure = new_figure(side * heads + 1.6, height, title, images=True)
    panels = figure.subplots(layers, heads, squeeze=False)
    size = min(SMALL_SIZE, 60 * side / max(time, source))
    image = None
    for (layer, head), axes in np.ndenumerate(panels):
        image = axes.imshow(weights[layer, head], cmap=SEQUENTIAL, vmin=0, vmax=1)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set(visible=True, color=FAINT)
        if layer == 0:
            axes.set_title(f"head {head + 1}", fontsize=LABEL_SIZE, color=INK)
        if layer == layers - 1 and len(sources) <= MAX_NAMED:
            axes.set_xticks(
                range(source), labels=[*sources], fontsize=size, family="monospace",
                rotation=90 if words else 0,
            )  # fmt: skip
        if head == 0:
            axes.set_ylabel(f"layer {layer + 1}", fontsize=LABEL_SIZE, color=INK)
            if len(steps) <= MAX_NAMED:
                axes.set_yticks(range(time), labels=[*steps], fontsize=size, family="monospace")
        axes.tick_params(length=0, pad=1)
    if image is not None:
        bar = figure.colorbar(image, ax=panels, fraction=0.03, pad=0.01)
        bar.set_label("share of the attention", fontsize=LABEL_SIZE, color=INK)
        bar.ax.tick_params(labelsize=SMALL_SIZE)
    return figure
