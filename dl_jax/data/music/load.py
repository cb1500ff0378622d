"""Pieces of music by name, as windows of tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dl_jax.data.dataset import Ordering, contiguous
from dl_jax.data.described import tokenizer_json
from dl_jax.data.music.abc_tunes import SUFFIX as ABC
from dl_jax.data.music.chorales import read_chorales
from dl_jax.data.music.counterpoint import counterpoint
from dl_jax.data.music.midi import SUFFIXES, read_midi
from dl_jax.data.music.piece import HIGHEST, SILENCE, Piece
from dl_jax.data.music.tokenizer import MusicTokenizer, fit_music_tokenizer
from dl_jax.data.splits import SPLITS
from dl_jax.data.text_files import files_in
from dl_jax.data.windows import Windows
from dl_jax.errors import UsageError, check_integer, nearest

EMBEDDED = "counterpoint"
HELD_OUT = 10
"""A tenth of the pieces is the validation split, and another the test split."""
Pieces = dict[str, list[Piece]]
"""Name of a split to its pieces."""


@dataclass(frozen=True)
class Music(Windows):
    """The pieces of one split, one after the other, as windows of tokens.

    `arrays` holds `tokens`, int32 `[length]`, and `begins`, bool `[length]`, true where a piece
    begins, which is at the token that says so. A batch has windows of both, one longer than
    `window`.

    Attributes:
        tokenizer: that made the tokens.
    """

    tokenizer: MusicTokenizer = field(kw_only=True)
    ordering: Ordering = field(default=contiguous, kw_only=True)

    @property
    def files(self) -> dict[str, str]:
        """What a network of this music cannot do without, as `Run.describe` keeps it."""
        return {"tokenizer.json": tokenizer_json(self.tokenizer)}


def load_music(
    name: str,
    *,
    steps: int = 64,
    transpose: int = 0,
    split_seed: int = 0,
    ordering: Ordering = contiguous,
    stride: int | None = None,
) -> dict[str, Music]:
    """The splits `train`, `validation` and `test` of pieces of music.

    A JSON file has its own splits. Of others, a tenth of the pieces is held out for validation, and
    another for the test. The tokenizer is that of the training pieces.

    Args:
        name: `counterpoint`, a JSON file as for `read_chorales`, or a folder of MIDI files.
        steps: sixteenth steps that a network reads at once.
        transpose: training pieces are also there up to so many semitones higher and lower, as far
            as MIDI has the pitches.
        split_seed: chooses the pieces that are held out.
        ordering: how training visits the windows.
        stride: tokens from the beginning of one training window to that of the next; the window if
            None. Windows that overlap need another order than `contiguous`.

    Raises:
        UsageError: the name is unknown, there are too few pieces, one of them cannot be read, or
            a split is too short for a window; or a number is out of range.
    """
    check_integer("steps", steps, low=1)
    check_integer("transpose", transpose, low=0, high=11)
    check_integer("split_seed", split_seed, low=0, high=None)
    pieces = _pieces(name, split_seed)
    pieces["train"] = _transposed(pieces["train"], transpose)
    tokenizer = fit_music_tokenizer(pieces["train"])
    return {
        split: Music(
            name,
            split,
            _encoded(tokenizer, pieces[split]),
            window=steps * tokenizer.voices,
            stride=stride if split == "train" else None,
            tokenizer=tokenizer,
            ordering=ordering,
        )
        for split in SPLITS
    }


def _pieces(name: str, split_seed: int) -> Pieces:
    if name == EMBEDDED:
        return _split(name, counterpoint(), split_seed)
    path = Path(name).expanduser()
    wanted = (
        f"expected {EMBEDDED!r}, or a JSON file of chorales or a folder of MIDI files as ./PATH"
    )
    if not name or not path.exists():
        raise UsageError(f"there is no music {name!r}, {wanted}{nearest(name, [EMBEDDED])}")
    suffix = path.suffix.lower()
    if path.is_dir() or suffix in SUFFIXES:
        return _split(name, [read_midi(each) for each in files_in(path, SUFFIXES)], split_seed)
    if suffix == ".json":
        return read_chorales(path)
    advice = ": tunes in ABC notation are texts, for load_corpus" if suffix == ABC else ""
    raise UsageError(f"the music {name!r} ends in {suffix!r}, {wanted}{advice}")


def _split(name: str, pieces: Sequence[Piece], seed: int) -> Pieces:
    """Whole pieces held out, in their order."""
    if len(pieces) < len(SPLITS):
        raise UsageError(
            f"the music {name!r} has {len(pieces)} pieces, expected at least {len(SPLITS)}, since "
            "whole pieces are held out: take a folder of more"
        )
    held = max(1, round(len(pieces) / HELD_OUT))
    places = np.random.default_rng(seed).permutation(len(pieces))
    chosen = {
        "train": places[2 * held :], "validation": places[:held], "test": places[held : 2 * held],
    }  # fmt: skip
    return {split: [pieces[place] for place in np.sort(chosen[split])] for split in SPLITS}


def _transposed(pieces: Sequence[Piece], most: int) -> list[Piece]:
    """The pieces, and then all of them at each other distance, where they are still pieces."""
    found = list(pieces)
    for distance in (each for each in range(-most, most + 1) if each):
        for piece in pieces:
            moved = np.where(piece == SILENCE, SILENCE, piece.astype(np.int64) + distance)
            sung = moved[piece != SILENCE]
            if not sung.size or (sung.min() >= 0 and sung.max() <= HIGHEST):
                found.append(moved)
    return found


def _encoded(tokenizer: MusicTokenizer, pieces: Sequence[Piece]) -> Mapping[str, np.ndarray]:
    tokens = np.concatenate([np.array(tokenizer.encode(piece), np.int32) for piece in pieces])
    return {"tokens": tokens, "begins": tokens == tokenizer.begin}
