"""The reliability diagram: confidence against accuracy."""

import numpy as np
from matplotlib.figure import Figure

from dl_jax.evaluation import Reliability
from dl_jax.plots.style import FAINT, INK, SKY, SMALL_SIZE, VERMILLION, new_figure, style_axes


def reliability_diagram(reliability: Reliability, *, title: str | None = None) -> Figure:
    """Accuracy in each bin of confidence, its gap to the confidence, and counts per bin.

    Calibrated predictions lie on the diagonal. The panel below has the number of predictions in
    each bin: where they are few, a gap means little.

    Args:
        reliability: the bins, as from `dl_jax.evaluation.reliability`.
        title: above the diagram.

    Source: Guo et al. (2017), arXiv:1706.04599, figure 1.
    """
    figure = new_figure(5.2, 6.0, title)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    edges = reliability.edges
    filled = reliability.counts > 0
    left, widths = edges[:-1][filled], np.diff(edges)[filled]
    accuracy, confidence = reliability.accuracy[filled], reliability.confidence[filled]
    upper.bar(left, accuracy, widths, align="edge", color=SKY, edgecolor="white", label="accuracy")
    upper.bar(
        left,
        confidence - accuracy,
        widths,
        bottom=accuracy,
        align="edge",
        color="none",
        edgecolor=VERMILLION,
        hatch="////",
        linewidth=1.0,
        label="gap to the mean confidence",
    )
    upper.plot([0, 1], [0, 1], color=INK, linestyle="--", linewidth=1.2, label="calibrated")
    style_axes(upper, y="accuracy")
    upper.set(xlim=(0, 1), ylim=(0, 1))
    figure.legend(
        *upper.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=3,
        fontsize=SMALL_SIZE,
        frameon=False,
    )
    upper.set_title(
        f"expected calibration error {reliability.error:.3f}",
        loc="right",
        fontsize=SMALL_SIZE,
        color=INK,
    )
    total = int(reliability.counts.sum())
    # On a logarithmic scale: the last bin often holds far more than all others.
    lower.bar(
        left, reliability.counts[filled], widths, align="edge", color=FAINT, edgecolor="white"
    )
    style_axes(lower, x="confidence", y=f"of {total:,}")
    lower.set_yscale("log")
    lower.set(ylim=(0.5, 2 * total))
    return figure
