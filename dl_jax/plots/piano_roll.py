"""Music as piano rolls: time from left to right, pitch from bottom to top."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Integer
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from dl_jax.plots.lines import COLORS
from dl_jax.plots.style import FAINT, RULE, SMALL_SIZE, new_figure, style_axes

BAR = 16
"""Steps of a bar: sixteenth notes."""
NAMES = ("soprano", "alto", "tenor", "bass")
NAMED = {0: "C", 4: "E", 7: "G"}
"""Names of the pitches of an octave that are printed."""
MARGIN = 2
"""Semitones that are shown above the highest pitch and below the lowest."""
MOST_BARS = 12
"""Bars that are numbered one by one; of more, every fourth is."""


def piano_roll(
    pieces: Mapping[str, Integer[np.ndarray, "_time _voices"]], *, title: str | None = None
) -> Figure:
    """One panel for each piece, below each other on the same axes; each voice has its color.

    Equal pitches that follow each other are drawn as one note. Lower voices are drawn thinner, so
    that all can be seen where they coincide. Bars are those of four quarters.

    Args:
        pieces: title of each panel to the MIDI pitches of each voice in each sixteenth step;
            negative ones are silence.
        title: above all panels.
    """
    sung = np.concatenate([piece[piece >= 0] for piece in pieces.values()])
    low, high = (int(sung.min()), int(sung.max())) if sung.size else (60, 72)
    steps = max(BAR, *(len(piece) for piece in pieces.values()))
    voices = max(piece.shape[1] for piece in pieces.values())
    height = 1.0 + len(pieces) * (0.55 + 0.075 * (high - low + 2 * MARGIN))
    figure = new_figure(float(np.clip(1.4 + 0.06 * steps, 5.5, 12.0)), height, title)
    panels = figure.subplots(len(pieces), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    thick = np.linspace(1.0, 0.55, voices)
    for axes, (name, piece) in zip(panels, pieces.items(), strict=True):
        style_axes(axes, title=name, x="bar" if axes is panels[-1] else "", y="pitch", grid=False)
        axes.set(xlim=(0, steps), ylim=(low - MARGIN, high + MARGIN))
        _rules(axes, steps, low - MARGIN, high + MARGIN)
        for number, (voice, thickness) in enumerate(zip(piece.T, thick, strict=False)):
            _draw(axes, voice, COLORS[number % len(COLORS)], thickness)
    names = NAMES if voices == len(NAMES) else [f"voice {n}" for n in range(1, voices + 1)]
    legend = [Patch(color=COLORS[n % len(COLORS)], label=name) for n, name in enumerate(names)]
    panels[0].legend(
        handles=legend, frameon=False, fontsize=SMALL_SIZE, loc="lower right",
        bbox_to_anchor=(1, 1), ncols=voices, borderaxespad=0.2, columnspacing=1.2,
        handlelength=1.2,
    )  # fmt: skip
    return figure


def _rules(axes: Axes, steps: int, low: int, high: int) -> None:
    """Lines at the bars, which are numbered, and at each C."""
    bars = range(0, steps, BAR)
    for start in bars:
        axes.axvline(start, color=RULE, linewidth=0.8, zorder=0)
    numbered = bars[:: 1 if len(bars) <= MOST_BARS else 4]
    axes.set_xticks(numbered, labels=[str(start // BAR + 1) for start in numbered])
    named = [pitch for pitch in range(low, high + 1) if pitch % 12 in NAMED]
    axes.set_yticks(named, labels=[f"{NAMED[p % 12]}{p // 12 - 1}" for p in named])
    axes.tick_params(length=0)
    for pitch in (pitch for pitch in named if pitch % 12 == 0):
        axes.axhline(pitch, color=FAINT, linewidth=0.6, linestyle=":", zorder=0)


def _draw(axes: Axes, voice: Integer[np.ndarray, " _time"], color: str, thickness: float) -> None:
    """A bar for each note, with a little space before the next one."""
    starts = np.flatnonzero(np.diff(voice, prepend=-2))
    lengths = np.diff(starts, append=len(voice))
    heard = voice[starts] >= 0
    axes.barh(
        voice[starts][heard], lengths[heard] - 0.25, left=starts[heard] + 0.125, height=thickness,
        color=color,
    )  # fmt: skip
