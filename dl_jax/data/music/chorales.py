"""Chorales from a JSON file: the format in which Bach's are passed on.

`{"train": [...], "valid": [...], "test": [...]}` has the pieces of each split. A piece is a list of
sixteenth steps, and a step a list of pitches, one for each voice from the top down; -1 is silence.

Source: Boulanger-Lewandowski et al. (2012), arXiv:1206.6392, for the splits of Bach's chorales.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from dl_jax.data.music.piece import SILENCE, Piece, check_piece
from dl_jax.data.text_files import read_text
from dl_jax.errors import UsageError

STORED = {"train": "train", "validation": "valid", "test": "test"}
"""Name of each split to its key in the file."""


def read_chorales(path: Path) -> dict[str, list[Piece]]:
    """The pieces of the splits `train`, `validation` and `test`.

    Raises:
        UsageError: the file cannot be read, is no JSON, or lacks a split; or a piece is empty, or
            has a step with another number of voices, or what is no pitch.
    """
    text = read_text(path)
    try:
        stored = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"the chorales {path} are no JSON, or cut short ({error}): copy the file again"
        ) from error
    for key in STORED.values():
        if not isinstance(stored, dict) or not isinstance(stored.get(key), list):
            raise UsageError(
                f"the chorales {path} have no list {key!r}, expected lists of pieces under "
                f"{', '.join(STORED.values())}: name them so"
            )
        if not stored[key]:
            raise UsageError(f"the chorales {path} have no piece in {key!r}, expected at least one")
    return {
        split: [
            _piece(f"piece {n} of {key!r} in {path}", each) for n, each in enumerate(stored[key])
        ]
        for split, key in STORED.items()
    }


def _piece(where: str, steps: Any) -> Piece:
    if not isinstance(steps, list) or not all(isinstance(step, list) for step in steps):
        raise UsageError(f"{where} is no list of steps, expected a list of pitches for each")
    if not steps:
        raise UsageError(f"{where} has no steps, expected at least one: leave it out")
    for number, step in enumerate(steps):
        if len(step) != len(steps[0]):
            raise UsageError(
                f"{where} has {len(step)} pitches in step {number}, expected {len(steps[0])}, as "
                f"in its first: one for each voice, {SILENCE} where it is silent"
            )
        for pitch in step:
            if type(pitch) is not int:
                raise UsageError(
                    f"{where} has {pitch!r} in step {number}, expected whole numbers: pitches, or "
                    f"{SILENCE} for silence"
                )
    try:
        piece = np.array(steps, np.int32)
    except OverflowError as error:
        raise UsageError(f"{where} has a number that is no pitch, expected 0 to 127") from error
    check_piece(where, piece)
    return piece
