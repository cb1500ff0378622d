"""A piece to tokens and back: step by step, and in each step from the top voice to the lowest."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dl_jax.data.described import read_described
from dl_jax.data.music.piece import HIGHEST, SILENCE, Piece, check_piece
from dl_jax.errors import UsageError

BEGIN = 1
"""The token with which a piece begins; 0 is padding."""


@dataclass(frozen=True)
class MusicTokenizer:
    """Each pitch of each voice as a token of its own, so that a token tells its voice.

    Token 0 is padding, and 1 begins a piece. Then the voices follow, each with silence, the pitches
    that it knows from low to high, and one token for all others.

    Attributes:
        pitches: of each voice, those that it knows, from low to high.

    Raises:
        UsageError: there is no voice, or the pitches of one are none of MIDI or not in their order.
    """

    pitches: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if not self.pitches:
            raise UsageError("a tokenizer of music has no voices, expected at least one")
        for voice, known in enumerate(self.pitches):
            bounded = (SILENCE, *known, HIGHEST + 1)
            if any(low >= high for low, high in pairwise(bounded)):
                raise UsageError(
                    f"voice {voice} knows the pitches {', '.join(map(str, known))}, expected each "
                    f"once, from low to high, between 0 and {HIGHEST}: fit the tokenizer again"
                )

    @property
    def voices(self) -> int:
        """Number of voices."""
        return len(self.pitches)

    @property
    def size(self) -> int:
        """Number of different tokens, that of padding included: the `vocab_size` of a model."""
        return self.ranges[-1].stop

    @property
    def begin(self) -> int:
        """The token with which a piece begins."""
        return BEGIN

    @property
    def silence(self) -> tuple[int, ...]:
        """The token of each voice where it is silent."""
        return tuple(tokens[0] for tokens in self.ranges)

    @property
    def unknown(self) -> tuple[int, ...]:
        """The token of each voice for all pitches that it does not know."""
        return tuple(tokens[-1] for tokens in self.ranges)

    @cached_property
    def ranges(self) -> tuple[range, ...]:
        """The tokens of each voice, which follow each other."""
        stops = np.cumsum([BEGIN + 1, *(len(known) + 2 for known in self.pitches)]).tolist()
        return tuple(range(start, stop) for start, stop in pairwise(stops))

    def encode(self, piece: Piece) -> list[int]:
        """The tokens of a piece, `1 + time * voices`: the first one begins it.

        Raises:
            UsageError: it has another number of voices, or a number in it is no pitch.
        """
        check_piece("a piece", piece)
        if piece.shape[1] != self.voices:
            raise UsageError(
                f"a piece has {piece.shape[1]} voices, expected {self.voices}, as the tokenizer "
                "knows: fit it to such pieces"
            )
        steps = self._tokens[np.arange(self.voices)[None], piece.astype(np.int64) - SILENCE]
        return [BEGIN, *steps.ravel().tolist()]

    def decode(self, tokens: Iterable[int]) -> Piece:
        """The piece of tokens, int32 `[time, voices]`, whatever a network has written.

        Tokens are read in their order, and of each step the voices from the top down. A token that
        is not of the voice whose turn it is, is left out, as padding is. The token that begins a
        piece ends the step before it: if that lacks voices, it is left out, as it is at the end.
        Several pieces follow each other without a gap. An unknown pitch becomes silence.

        Raises:
            UsageError: a number is no token.
        """
        steps: list[list[int]] = []
        step: list[int] = []
        ranges, pitches, size = self.ranges, self._pitches, self.size
        for token in tokens:
            if not 0 <= token < size:
                raise UsageError(
                    f"{token} is no token, expected 0 to {size - 1}: these are tokens of "
                    "another tokenizer"
                )
            if token == BEGIN:
                step = []
            elif token in ranges[len(step)]:
                step.append(pitches[token])
            if len(step) == self.voices:
                steps.append(step)
                step = []
        return np.array(steps, np.int32).reshape(-1, self.voices)

    def described(self) -> dict[str, Any]:
        """What `music_tokenizer_of` makes the same tokenizer from, as JSON."""
        return {"kind": "music", "pitches": [list(known) for known in self.pitches]}

    @cached_property
    def _pitches(self) -> dict[int, int]:
        """The pitch of each token of a voice; silence, of those that stand for none."""
        return {
            token: pitch
            for known, of_voice in zip(self.pitches, self.ranges, strict=True)
            for token, pitch in zip_longest(of_voice, (SILENCE, *known), fillvalue=SILENCE)
        }

    @cached_property
    def _tokens(self) -> NDArray[np.int64]:
        """The token of each pitch, `[voices, 1 + HIGHEST + 1]`; silence is the first."""
        tokens = np.repeat(np.array(self.unknown)[:, None], HIGHEST + 2, axis=1)
        for voice, (known, of_voice) in enumerate(zip(self.pitches, self.ranges, strict=True)):
            places = np.array([SILENCE, *known]) - SILENCE
            tokens[voice, places] = of_voice[: len(places)]
        return tokens


def fit_music_tokenizer(pieces: Sequence[Piece]) -> MusicTokenizer:
    """The tokenizer that knows the pitches of these pieces: those of the training split.

    Raises:
        UsageError: there are none, or they differ in their number of voices.
    """
    for piece in pieces:
        check_piece("a piece", piece)
    counts = sorted({piece.shape[1] for piece in pieces})
    if len(counts) != 1:
        raise UsageError(
            f"the pieces have {' or '.join(map(str, counts)) or 'no'} voices, expected the same "
            "number in each: leave the others out"
        )
    sung = np.concatenate(list(pieces))
    known = (np.unique(voice[voice != SILENCE]).tolist() for voice in sung.T)
    return MusicTokenizer(tuple(map(tuple, known)))


def music_tokenizer_of(described: Any) -> MusicTokenizer:
    """The tokenizer that gave this description.

    Raises:
        UsageError: it is none of music.
    """
    match described:
        case {"kind": "music", "pitches": list(pitches)} if all(
            isinstance(known, list) and all(type(pitch) is int for pitch in known)
            for known in pitches
        ):
            return MusicTokenizer(tuple(map(tuple, pitches)))
    raise UsageError(
        "this is no tokenizer of music, expected the kind 'music' and the pitches of each voice: "
        "copy the file again, or fit it again"
    )


def read_music_tokenizer(path: Path) -> MusicTokenizer:
    """The tokenizer of a file that holds its `tokenizer_json`.

    Raises:
        UsageError: the file is missing, cut short, or holds something else.
    """
    return read_described(path, music_tokenizer_of)
