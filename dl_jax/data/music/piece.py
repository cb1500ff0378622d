"""What a piece of music is here: the pitch of each voice in each sixteenth step."""

from typing import TypeAlias

import numpy as np
from jaxtyping import Integer

from dl_jax.errors import UsageError

Piece: TypeAlias = Integer[np.ndarray, "_time _voices"]
"""MIDI pitches, 0 to 127, of the voices from top to bottom; -1 is silence. A note that is held and
one that is struck again are the same."""

SILENCE = -1
HIGHEST = 127
"""Pitches of MIDI end here; 60 is the C in the middle of the piano."""


def check_piece(where: str, piece: np.ndarray) -> None:
    """Raise unless this is a `Piece` with at least one voice.

    Raises:
        UsageError: names `where` it was found, what is wrong, and what was expected.
    """
    if piece.ndim != 2 or not piece.shape[1] or piece.dtype.kind not in "iu":
        raise UsageError(
            f"{where} is {piece.dtype}{list(piece.shape)}, expected whole numbers [time, voices]"
        )
    wrong = (piece < SILENCE) | (piece > HIGHEST)
    if wrong.any():
        step, voice = np.argwhere(wrong)[0]
        raise UsageError(
            f"{where} has the pitch {piece[step, voice]} in step {step}, expected 0 to {HIGHEST}, "
            f"or {SILENCE} for silence"
        )
