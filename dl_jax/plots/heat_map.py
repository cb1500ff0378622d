"""Tables of numbers as heat maps, side by side on one color scale."""

from collections.abc import Mapping, Sequence

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
    style_axes,
)


def heat_maps(
    tables: Mapping[str, Float[np.ndarray, "rows columns"]],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    value: str,
    x: str = "",
    y: str = "",
    limits: tuple[float, float] = (0.0, 1.0),
    title: str | None = None,
) -> Figure:
    """One panel for each table, each number printed on its color; numbers not finite are crossed.

    Args:
        tables: by name; all of the same shape.
        rows: names of the rows.
        columns: names of the columns.
        value: label of the color scale.
        x: what the columns are.
        y: what the rows are.
        limits: of the color scale.
        title: above all panels.
    """
    width, height = 0.72 * len(columns) + 0.5, 0.42 * len(rows) + 1.5
    figure = new_figure(width * len(tables) + 2.2, height, title, images=True)
    panels = figure.subplots(1, len(tables), squeeze=False)[0]
    image = None
    for index, (axes, (name, table)) in enumerate(zip(panels, tables.items(), strict=True)):
        colors = SEQUENTIAL.with_extremes(bad="#EEEEEE")
        image = axes.imshow(
            np.where(np.isfinite(table), table, np.nan), cmap=colors, vmin=limits[0],
            vmax=limits[1], aspect="auto",
        )  # fmt: skip
        style_axes(axes, title=name, x=x, y=y if index == 0 else "", grid=False)
        axes.set_xticks(range(len(columns)), labels=list(columns), rotation=45, ha="right",
                        rotation_mode="anchor", fontsize=SMALL_SIZE)  # fmt: skip
        axes.set_yticks(range(len(rows)), labels=list(rows) if index == 0 else [""] * len(rows))
        axes.tick_params(length=0)
        axes.spines[:].set(visible=True, color=FAINT)
        for (i, j), number in np.ndenumerate(table):
            share = (number - limits[0]) / (limits[1] - limits[0])
            axes.text(
                j, i, f"{number:.2f}" if np.isfinite(number) else "✗", ha="center", va="center",
                fontsize=SMALL_SIZE, color="white" if share > 0.55 else INK,
            )  # fmt: skip
    if image is not None:
        bar = figure.colorbar(image, ax=panels, fraction=0.05, pad=0.02)
        bar.set_label(value, fontsize=LABEL_SIZE, color=INK)
        bar.ax.tick_params(labelsize=SMALL_SIZE)
    return figure
