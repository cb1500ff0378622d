"""What a network that writes music must beat: how often notes occur, and that they repeat."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Integer


class NoteBaselines(NamedTuple):
    """What is counted in the training pieces.

    ranges: the tokens of each voice.
    shares: probability of each token of each voice, in the order of its range.
    repeats: probability that each voice repeats its last note.
    """

    ranges: tuple[range, ...]
    shares: tuple[Float[np.ndarray, " _notes"], ...]
    repeats: Float[np.ndarray, " voices"]


class NoteLoss(NamedTuple):
    """Mean negative log-likelihood in nats per step: the sum over its voices.

    unigram: of each note by itself, whatever was before.
    repeat: of a voice that repeats its last note, or else sings another by its share; the first
        step of a piece is as for `unigram`.
    """

    unigram: float
    repeat: float


def fit_note_baselines(
    tokens: Integer[np.ndarray, " length"],
    begins: Bool[np.ndarray, " length"],
    ranges: Sequence[range],
) -> NoteBaselines:
    """Count notes, and how often they repeat, each with one added.

    `share[v, n] = (1 + count of n in voice v) / (notes of v in ranges + steps)` and
    `repeat[v] = (1 + steps in which v repeats) / (2 + steps that have one before)`.

    Args:
        tokens: of pieces, one after the other: each a token that begins it, and then the notes of
            each step, those of one step in the order of `ranges`.
        begins: true at the tokens that begin a piece.
        ranges: the tokens of each voice.

    Raises:
        ValueError: the tokens are not such pieces.
    """
    notes, first = _steps(tokens, begins, ranges)
    shares = []
    for known, voice in zip(ranges, notes.T, strict=True):
        counts = np.bincount(voice - known.start, minlength=len(known)) + 1
        shares.append(counts / counts.sum())
    again = notes[1:] == notes[:-1]
    linked = ~first[1:]
    repeats = (again[linked].sum(0) + 1) / (linked.sum() + 2)
    return NoteBaselines(tuple(ranges), tuple(shares), repeats)


def note_loss(
    fitted: NoteBaselines,
    tokens: Integer[np.ndarray, " length"],
    begins: Bool[np.ndarray, " length"],
) -> NoteLoss:
    """How surprising pieces are to what was fitted; the tokens that begin them do not count.

    Args:
        fitted: by `fit_note_baselines`.
        tokens: of pieces, as there.
        begins: true at the tokens that begin a piece.

    Raises:
        ValueError: the tokens are not such pieces.
    """
    notes, first = _steps(tokens, begins, fitted.ranges)
    unigram = repeat = 0.0
    known = zip(fitted.ranges, fitted.shares, fitted.repeats, notes.T, strict=True)
    for tokens_of, share, again, voice in known:
        probability = share[voice - tokens_of.start]
        unigram -= float(np.log(probability).mean())
        others = 1 - np.roll(probability, 1)  # all notes but the one before
        linked = np.where(
            voice == np.roll(voice, 1), again, (1 - again) * probability / np.maximum(others, 1e-12)
        )
        repeat -= float(np.log(np.where(first, probability, linked)).mean())
    return NoteLoss(unigram, repeat)


def _steps(
    tokens: Integer[np.ndarray, " length"],
    begins: Bool[np.ndarray, " length"],
    ranges: Sequence[range],
) -> tuple[Integer[np.ndarray, "steps voices"], Bool[np.ndarray, " steps"]]:
    """The notes of each step, and whether a piece begins with it."""
    tokens = tokens.astype(np.int64)
    voices = len(ranges)
    if not voices or begins.all() or (len(tokens) - begins.sum()) % voices:
        raise ValueError(
            f"{len(tokens)} tokens, of which {begins.sum()} begin pieces, are no steps of {voices} "
            "notes: expected whole pieces"
        )
    notes = tokens[~begins].reshape(-1, voices)
    for voice, known in enumerate(ranges):
        wrong = (notes[:, voice] < known.start) | (notes[:, voice] >= known.stop)
        if wrong.any():
            step = int(wrong.argmax())
            raise ValueError(
                f"token {notes[step, voice]} in step {step} is none of voice {voice}, expected "
                f"{known.start} to {known.stop - 1}: give whole pieces of the same tokenizer"
            )
    # Before a token that begins a piece there are only whole steps.
    places = np.flatnonzero(begins) - np.arange(begins.sum())
    first = np.zeros(len(notes) + 1, bool)  # a piece may be empty, also the last one
    first[places // voices] = True
    first[0] = True
    return notes, first[:-1]
