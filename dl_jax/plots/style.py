"""The style of all figures: colors, font sizes, frames.

Everything is set on the figure itself; matplotlib's global settings are neither read nor changed.
"""

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

# Okabe and Ito (2008), "Color universal design": distinguishable with any color vision.
BLUE = "#0072B2"
VERMILLION = "#D55E00"
GREEN = "#009E73"
ORANGE = "#E69F00"
SKY = "#56B4E9"
PURPLE = "#CC79A7"
INK = "#222222"
FAINT = "#8A8A8A"
RULE = "#DDDDDD"

SEQUENTIAL = LinearSegmentedColormap.from_list("white_to_blue", ["#FFFFFF", SKY, BLUE, "#00304D"])
"""From zero (white) to large (dark blue), with lightness falling monotonically."""

DIVERGING = "RdBu_r"
"""From negative (blue) through zero (white) to positive (red)."""

TITLE_SIZE = 12.0
LABEL_SIZE = 10.0
SMALL_SIZE = 9.0


def new_figure(
    width: float, height: float, title: str | None = None, *, images: bool = False
) -> Figure:
    """An empty white figure of this size in inches, whose parts are laid out without overlap.

    With `images`, whose aspect ratio is fixed, the layout is made compact.
    """
    layout = "compressed" if images else "constrained"
    figure = Figure((width, height), facecolor="white", layout=layout)
    if title is not None:
        figure.suptitle(title, fontsize=TITLE_SIZE, color=INK, fontweight="bold")
    return figure


def style_axes(axes: Axes, *, title: str = "", x: str = "", y: str = "", grid: bool = True) -> None:
    """Set title, axis labels, fonts, a light frame, and a grid behind the data."""
    axes.set_facecolor("white")
    axes.set_title(title, fontsize=TITLE_SIZE, color=INK, loc="left")
    axes.set_xlabel(x, fontsize=LABEL_SIZE, color=INK)
    axes.set_ylabel(y, fontsize=LABEL_SIZE, color=INK)
    axes.tick_params(labelsize=SMALL_SIZE, color=FAINT, labelcolor=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.grid(grid, color=RULE, linewidth=0.8) if grid else axes.grid(False)
    axes.set_axisbelow(True)


def hide_axes(axes: Axes) -> None:
    """Remove ticks and frame, for images."""
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)
