"""Pieces read from MIDI files, and written as such, by the library `pretty_midi`."""

import re
import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from dl_jax.data.music.piece import SILENCE, Piece, check_piece
from dl_jax.errors import UsageError, check_integer, check_range

SUFFIXES = (".mid", ".midi")
VOICES = 4
STEPS = 4
"""Steps of a quarter note."""
CHOIR = 52
"""The instrument of a written voice, as General MIDI numbers them."""
VELOCITY = 80
"""How loud a written note is, of 127."""
NAME = re.compile(r"voice ([1-9]\d*)")
"""Name of a written voice's track, counted from 1."""


def read_midi(path: Path, voices: int = VOICES) -> Piece:
    """The piece of a MIDI file, int32 `[time, voices]`, on a grid of sixteenth notes.

    Notes begin and end at the nearest step; none is shorter than one. Drums are left out. Tracks
    that are named `voice 1`, `voice 2` and so on, as `write_midi` does, are those voices. Otherwise
    each track is one, if there are as many. Otherwise all tracks are read as one keyboard: each
    step gives its highest notes to the voices from the top down, and its lowest to the last voice
    where there are at least as many as voices. Where a voice has several notes, it is the highest.

    Args:
        path: of the file.
        voices: number of voices of the piece.

    Raises:
        UsageError: the library is missing, or the file cannot be read, is cut short, is no MIDI, or
            has no notes.
    """
    check_integer("voices", voices, low=1)
    midi = _parsed(path)
    tracks = [each for each in midi.instruments if each.notes and not each.is_drum]
    if not tracks:
        raise UsageError(
            f"the MIDI file {path} has no notes but those of drums, expected some: leave it out"
        )
    rolls = np.stack([_roll(midi, track.notes) for track in tracks])  # [tracks, time, pitch]
    named = [NAME.fullmatch(track.name) for track in tracks]
    numbers = [int(found[1]) - 1 for found in named if found]
    if len(numbers) == len(tracks) == len(set(numbers)) and max(numbers) < voices:
        return _highest(rolls, numbers, voices)
    if len(tracks) == voices:
        return _highest(rolls, range(voices), voices)
    return _keyboard(np.logical_or.reduce(rolls), voices)


def write_midi(path: Path, piece: Piece, tempo: float = 90.0) -> None:
    """Write a piece as a MIDI file with a track for each voice.

    Equal pitches that follow each other are one note that is held. `read_midi` gives the piece
    again, without the silence at its end.

    Args:
        path: of the file; its folder must be there.
        piece: to be written.
        tempo: quarter notes in a minute.

    Raises:
        UsageError: the library is missing, the piece is none, the tempo is not positive, or the
            file cannot be written.
    """
    check_piece("the piece to be written", piece)
    check_range("tempo", tempo, low=0, exclusive_low=True)
    library = _library()
    midi = library.PrettyMIDI(initial_tempo=tempo)
    step = 60 / tempo / STEPS  # in seconds
    for number, voice in enumerate(piece.T, 1):
        track = library.Instrument(CHOIR, name=f"voice {number}")
        edges = [0, *(np.flatnonzero(np.diff(voice)) + 1).tolist(), len(voice)]
        track.notes = [
            library.Note(VELOCITY, int(voice[start]), start * step, stop * step)
            for start, stop in pairwise(edges)
            if start < stop and voice[start] != SILENCE
        ]
        midi.instruments.append(track)
    try:
        midi.write(str(path))
    except OSError as error:
        raise UsageError(f"the MIDI file {path} cannot be written ({error.strerror})") from error


def _parsed(path: Path) -> Any:
    library = _library()
    try:
        with path.open("rb"), warnings.catch_warnings():
            # It warns of tempo changes in unusual places, which move no note on the grid.
            warnings.simplefilter("ignore", RuntimeWarning)
            return library.PrettyMIDI(str(path))
    except OSError as error:
        if error.strerror:
            raise UsageError(f"the MIDI file {path} cannot be read ({error.strerror})") from error
        raise _broken(path, error) from error
    except Exception as error:  # whatever the library meets where it expects something else
        raise _broken(path, error) from error


def _broken(path: Path, error: Exception) -> UsageError:
    reason = f"{error}" or type(error).__name__
    return UsageError(
        f"the MIDI file {path} is cut short, or none ({reason}): copy it again, or leave it out"
    )


def _roll(midi: Any, notes: Sequence[Any]) -> np.ndarray:
    """Which pitches of a track sound, bool `[time, 128]`, with all of the file's steps."""

    def steps(seconds: float) -> int:
        return round(midi.time_to_tick(seconds) * STEPS / midi.resolution)

    roll = np.zeros((steps(midi.get_end_time()) + 1, 128), bool)
    for note in notes:
        start = steps(note.start)
        roll[start : max(start + 1, steps(note.end)), note.pitch] = True
    return roll


def _highest(rolls: np.ndarray, numbers: Sequence[int], voices: int) -> Piece:
    """The highest pitch of each track in each step, as the voices of these numbers."""
    piece = np.full((rolls.shape[1], voices), SILENCE, np.int32)
    for number, roll in zip(numbers, rolls, strict=True):
        piece[:, number] = np.where(roll.any(1), 127 - roll[:, ::-1].argmax(1), SILENCE)
    return _without_end(piece)


def _keyboard(roll: np.ndarray, voices: int) -> Piece:
    """The notes of each step, dealt to the voices from the top down, the lowest to the last."""
    piece = np.full((len(roll), voices), SILENCE, np.int32)
    for step, sounding in enumerate(roll):
        pitches = np.flatnonzero(sounding)[::-1]
        kept = pitches if len(pitches) < voices else [*pitches[: voices - 1], pitches[-1]]
        piece[step, : len(kept)] = kept
    return _without_end(piece)


def _without_end(piece: Piece) -> Piece:
    """Without the silence at the end."""
    (sounding,) = np.nonzero((piece != SILENCE).any(1))
    return piece[: sounding[-1] + 1]


def _library() -> Any:
    try:
        import pretty_midi  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UsageError(
            "MIDI files need the library pretty_midi: pip install -e '.[music]'"
        ) from error
    return pretty_midi
