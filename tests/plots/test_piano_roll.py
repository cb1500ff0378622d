"""Piano rolls: a rectangle for each note, at its time and pitch."""

import numpy as np

from dl_jax.plots import piano_roll

PIECE = np.array([[72, 60, 55, 48]] * 6 + [[-1, 60, 57, 48]] * 12 + [[72, 60, 57, -1]] * 2)


def notes(axes):
    """Start, length and pitch of each note that is drawn."""
    return sorted(
        (
            round(bar.get_x() - 0.125),
            round(bar.get_width() + 0.25),
            round(bar.get_y() + bar.get_height() / 2),
        )
        for bar in axes.patches
    )


def test_each_note_is_drawn_once_and_silence_is_not():
    axes = piano_roll({"one": PIECE}).axes[0]
    assert notes(axes) == sorted([
        (0, 6, 72), (18, 2, 72), (0, 20, 60), (0, 6, 55), (6, 14, 57), (0, 18, 48),
    ])  # fmt: skip
    assert len({bar.get_facecolor() for bar in axes.patches}) == 4
    assert axes.get_legend().get_texts()[3].get_text() == "bass"


def test_panels_share_their_axes_which_name_bars_and_pitches():
    figure = piano_roll({"one": PIECE, "two": PIECE[:9, 1:3] + 12, "none": PIECE[:0]})
    first, *others = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["one", "two", "none"]
    assert all(axes.get_ylim() == first.get_ylim() for axes in others)
    assert first.get_xlim() == (0, 20)
    assert [tick.get_text() for tick in others[1].get_xticklabels()] == ["1", "2"]
    named = dict(
        zip(first.get_yticks(), (t.get_text() for t in first.get_yticklabels()), strict=True)
    )
    assert named[60] == "C4"
    assert named[55] == "G3"
    assert notes(others[1]) == []
