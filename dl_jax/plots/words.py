"""Words: colored by what they say for or against, and where they lie in the plane."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from dl_jax.plots.style import DIVERGING, FAINT, INK, LABEL_SIZE, SMALL_SIZE, new_figure

COLUMNS = 92
"""Letters in a line of text."""
LETTER = 0.075
"""Width of a letter, in inches."""
LINE = 0.21
"""Height of a line, in inches."""

Evidence = tuple[Sequence[str], Float[np.ndarray, " words"]]
"""The words of a text, and what each says: positive for, negative against."""


def word_colors(weights: Float[np.ndarray, " words"]) -> Float[np.ndarray, "words 3"]:
    """From blue (against) through white (nothing) to red (for), the strongest word fully so."""
    strongest = max(float(np.abs(weights).max(initial=0)), 1e-12)
    colors = np.asarray(colormaps[DIVERGING](0.5 + 0.33 * weights / strongest))
    return colors[:, :3]


def colored_words(texts: Mapping[str, Evidence], *, title: str | None = None) -> Figure:
    """Texts whose words are colored by what they say for (red) or against (blue) something.

    Args:
        texts: headings to the words of a text and their weights; in each text the color of the
            word with the largest weight is the same.
        title: above all texts.
    """
    lines = {heading: _lines(words) for heading, (words, _) in texts.items()}
    count = sum(len(each) + 2 for each in lines.values())
    figure = new_figure(COLUMNS * LETTER + 0.4, count * LINE + 0.3, title)
    axes = figure.subplots()
    axes.set(xlim=(-2, COLUMNS + 3), ylim=(count, -1.2))
    axes.axis("off")
    row = 0
    for heading, (words, weights) in texts.items():
        axes.text(0, row, heading, fontsize=LABEL_SIZE, fontweight="bold", color=INK, va="center")
        colors, row = word_colors(np.asarray(weights)), row + 1
        for line in lines[heading]:
            for number, column in line:
                box = {"facecolor": colors[number], "edgecolor": "none", "pad": 1.2}
                axes.text(
                    column, row, words[number], family="monospace", fontsize=SMALL_SIZE, color=INK,
                    va="center", bbox=box, parse_math=False,
                )  # fmt: skip
            row += 1
        row += 1
    return figure


def colored_words_page(texts: Mapping[str, Evidence]) -> str:
    """`colored_words` as a page of HTML, where each word tells its weight."""
    style = "font: 16px/1.7 sans-serif; max-width: 60em; margin: 2em auto"
    parts = [
        "<!doctype html><meta charset=utf-8><title>Decisive words</title>",
        f"<body style='{style}'>",
    ]
    for heading, (words, weights) in texts.items():
        colors = (255 * word_colors(np.asarray(weights))).astype(int)
        spans = (
            f"<span style='background: rgb({red}, {green}, {blue})' title='{weight:+.3f}'>"
            f"{escape(word)}</span>"
            for word, weight, (red, green, blue) in zip(words, weights, colors, strict=True)
        )
        parts.append(f"<h2>{escape(heading)}</h2>\n<p>{' '.join(spans)}</p>")
    return "\n".join(parts) + "\n"


def word_map(
    places: Float[np.ndarray, "words 2"],
    words: Sequence[str],
    groups: Mapping[str, Sequence[int]],
    weights: Float[np.ndarray, " words"],
    *,
    title: str | None = None,
) -> Figure:
    """Words in the plane; some are named, and beside them their neighbors.

    Args:
        places: of each word.
        words: their names.
        groups: chosen words to the numbers of those that are nearest to them, themselves first.
        weights: color of each point, from blue (negative) to red.
        title: above the panel.
    """
    figure = new_figure(9.2, 5.4, title)
    axes, beside = figure.subplots(1, 2, width_ratios=(1.35, 1))
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color(FAINT)
    axes.scatter(*places.T, s=5, color=word_colors(weights), linewidths=0.2, edgecolors=FAINT)
    for group in groups.values():
        at = int(group[0])
        axes.annotate(
            words[at], places[at], fontsize=SMALL_SIZE, fontweight="bold", color=INK, ha="center",
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )  # fmt: skip
    beside.axis("off")
    beside.set(xlim=(0, 1), ylim=(len(groups) - 0.5, -0.8))
    for row, (name, group) in enumerate(groups.items()):
        beside.text(0, row, name, fontsize=LABEL_SIZE, fontweight="bold", color=INK, va="center")
        nearest = ", ".join(words[int(number)] for number in group[1:])
        beside.text(0.25, row, nearest, fontsize=SMALL_SIZE, color=INK, va="center", wrap=True)
    return figure


def _lines(words: Sequence[str]) -> list[list[tuple[int, int]]]:
    """The words of a text in lines: their numbers, and the column where each begins."""
    lines: list[list[tuple[int, int]]] = [[]]
    column = 0
    for number, word in enumerate(words):
        if column and column + len(word) > COLUMNS:
            lines.append([])
            column = 0
        lines[-1].append((number, column))
        column += len(word) + 1
    return lines
