"""The reliability diagram: confidence against accuracy."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from dl_jax.evaluation import Reliability
from dl_jax.plots.style import FAINT, INK, SKY, SMALL_SIZE, VERMILLION, dress, new_figure


def reliability_diagram(reliability: Reliability, *, title: str | None = None) -> Figure:
    """Accuracy in each bin of confidence, its gap to the confidence, and the size of the bins.

    Calibrated predictions end on the diagonal. The panel below says how many predictions each bin
    stands for: where they are few, a gap means little.

    Args:
        reliability: the bins, as `dl_jax.evaluation.reliability` gives them.
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
    dress(upper, y="accuracy")
    upper.set(xlim=(0, 1), ylim=(0, 1))
    upper.legend(loc="upper left", fontsize=SMALL_SIZE, framealpha=0.9, edgecolor="none")
    upper.text(
        0.97,
        0.04,
        f"expected calibration error {reliability.error:.3f}",
        transform=upper.transAxes,
        ha="right",
        fontsize=SMALL_SIZE,
        color=INK,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.9, "pad": 3},
    )
    total = int(reliability.counts.sum())
    lower.bar(
        edges[:-1],
        reliability.counts / total,
        np.diff(edges),
        align="edge",
        color=FAINT,
        edgecolor="white",
    )
    dress(lower, x="confidence", y=f"share of {total:,}")
    lower.set(ylim=(0, 1))
    lower.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    return figure
