"""Pieces of four voices that a small grammar of counterpoint writes, in the manner of a chorale.

A piece is in one of ten keys and has four phrases of two bars. Harmony is a walk from chord to
chord: which may follow which, and with which two a phrase ends, stands in the tables below. A chord
is complete, its third sounds once (but for the sixth degree, where V may lead), and each voice
keeps to its range and its place above the next.
Voices move by small steps, never two of them in parallel fifths or octaves, and the leading note
goes up to the tonic. Then passing notes and suspensions are written in where the rules allow it.

Source: Piston (1941), "Harmony", for the rules of part-writing.
"""

from collections.abc import Sequence
from functools import cache
from itertools import product
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Bool, Integer
from numpy.typing import NDArray

from dl_jax.data.music.piece import Piece

T = TypeVar("T")

COUNT = 400
"""Pieces, of all splits together."""
RANGES = ((60, 79), (55, 74), (48, 67), (40, 60))
"""Lowest and highest pitch of soprano, alto, tenor and bass."""
WIDEST = 12
"""Semitones between soprano and alto, and between alto and tenor, at most."""
LEAPS = np.array([7, 5, 5, 12])
"""Semitones that a voice moves from chord to chord, at most."""


class Mode(NamedTuple):
    """Major or minor: tonics, the scale, chords as root, third and fifth, and their grammar."""

    tonics: tuple[int, ...]
    scale: tuple[int, ...]
    chords: dict[str, tuple[int, int, int]]
    follows: dict[str, tuple[str, ...]]
    cadences: tuple[tuple[str, str], ...]


MAJOR = Mode(
    tonics=(0, 2, 5, 7, 10),
    scale=(0, 2, 4, 5, 7, 9, 11),
    chords={
        "I": (0, 4, 7), "ii": (2, 5, 9), "iii": (4, 7, 11), "IV": (5, 9, 0), "V": (7, 11, 2),
        "vi": (9, 0, 4),
    },
    follows={
        "I": ("IV", "IV", "V", "V", "vi", "ii", "iii"), "ii": ("V", "V", "V", "vi"),
        "iii": ("vi", "IV"), "IV": ("V", "V", "I", "ii"), "V": ("I", "I", "I", "vi"),
        "vi": ("ii", "ii", "IV", "V"),
    },
    cadences=(("V", "I"), ("V", "I"), ("I", "V"), ("IV", "V"), ("V", "vi"), ("IV", "I")),
)  # fmt: skip
MINOR = Mode(
    tonics=(2, 4, 7, 9, 11),
    scale=(0, 2, 3, 5, 7, 8, 10),
    chords={
        "i": (0, 3, 7), "III": (3, 7, 10), "iv": (5, 8, 0), "V": (7, 11, 2), "VI": (8, 0, 3),
    },
    follows={
        "i": ("iv", "iv", "V", "V", "VI", "III"), "III": ("VI", "iv"), "iv": ("V", "V", "V", "i"),
        "V": ("i", "i", "i", "VI"), "VI": ("iv", "iv", "III"),
    },
    cadences=(("V", "i"), ("V", "i"), ("i", "V"), ("iv", "V"), ("V", "VI"), ("iv", "i")),
)  # fmt: skip
RHYTHMS = ((4, 4, 4, 4, 4, 4, 8), (8, 4, 4, 4, 4, 8), (4, 4, 8, 4, 4, 8), (4, 4, 4, 4, 8, 8))
"""Steps of each chord of a phrase: two bars."""
DECEPTIVE = ("vi", "VI")
"""Chords whose third may sound twice: where V leads there, two voices go to it."""
LONG = 8
"""Steps of a long chord, such as that which ends a phrase: its root is in the bass."""
PHRASES = 4
BACK = 4
"""Chords that are sung anew where no voicing can follow the last one."""
ORNAMENTED = 0.4
"""Probability of writing a passing note or a suspension where it is allowed."""
LEADING = 11
"""Semitones from the tonic up to the leading note, which goes up to the next tonic."""

Chords = Integer[np.ndarray, "*_chords 4"]
Voicings = NDArray[np.int32]
UPPER, LOWER = np.triu_indices(len(RANGES), 1)


def counterpoint(count: int = COUNT, seed: int = 0) -> list[Piece]:
    """Pieces of four voices, int32 `[128, 4]`: soprano, alto, tenor, bass.

    Args:
        count: number of pieces.
        seed: of the generator; the same seed gives the same pieces.
    """
    random = np.random.default_rng(seed)
    modes = (MAJOR, MINOR)
    return [_piece(random, modes[random.integers(2)]) for _ in range(count)]


def in_parallel(before: Chords, after: Chords) -> Bool[np.ndarray, "*_chords"]:
    """Whether two voices move from a fifth to a fifth, or from an octave (or unison) to another."""
    gap = (before[..., UPPER] - before[..., LOWER]) % 12
    kept = gap == (after[..., UPPER] - after[..., LOWER]) % 12
    moved = before != after
    both = moved[..., UPPER] & moved[..., LOWER]
    return (both & kept & ((gap == 0) | (gap == 7))).any(-1)


def _piece(random: np.random.Generator, mode: Mode) -> Piece:
    tonic = _choice(random, mode.tonics)
    names, lengths = _harmony(random, mode)
    voiced: list[Voicings] = []
    while len(voiced) < len(names):
        place = len(voiced)
        chord = tuple((tonic + pitch) % 12 for pitch in mode.chords[names[place]])
        thirds = 2 if names[place] in DECEPTIVE else 1
        options = _voicings(chord, thirds, lengths[place] == LONG)
        chosen = _next(random, voiced[-1] if voiced else None, options, (tonic + LEADING) % 12)
        if chosen is None:
            del voiced[-BACK:]
        else:
            voiced.append(chosen)
    piece = np.repeat(np.stack(voiced), lengths, axis=0)
    scale = frozenset((tonic + pitch) % 12 for pitch in mode.scale)
    _ornament(random, piece, np.cumsum(lengths)[:-1], scale)
    return piece


def _harmony(random: np.random.Generator, mode: Mode) -> tuple[list[str], list[int]]:
    """The names of a piece's chords, and how many steps each lasts."""
    names: list[str] = []
    lengths: list[int] = []
    for phrase in range(PHRASES):
        first = mode.follows[names[-1]] if names else tuple(mode.chords)[:1]
        cadence = mode.cadences[0] if phrase == PHRASES - 1 else _choice(random, mode.cadences)
        rhythm = _choice(random, RHYTHMS)
        names += _phrase(random, mode, first, len(rhythm), cadence)
        lengths += rhythm
    return names, lengths


def _phrase(
    random: np.random.Generator,
    mode: Mode,
    first: Sequence[str],
    length: int,
    cadence: tuple[str, str],
) -> list[str]:
    """The names of a phrase's chords: a walk that leads to the cadence, which ends it."""
    while True:
        names = [_choice(random, first)]
        while len(names) < length - 2:
            names.append(_choice(random, mode.follows[names[-1]]))
        if cadence[0] in mode.follows[names[-1]]:
            return [*names, *cadence]


@cache
def _voicings(chord: tuple[int, ...], thirds: int, firm: bool) -> Voicings:
    """All ways to sing a chord, `[ways, 4]`, with so many thirds at most.

    The bass has the root, or the third unless the chord is firm.
    """
    root, third, _ = chord
    pitches = [
        [pitch for pitch in range(low, high + 1) if pitch % 12 in chord] for low, high in RANGES
    ]
    ways = np.array(list(product(*pitches)), np.int32)
    classes = ways % 12
    gaps = ways[:, :-1] - ways[:, 1:]
    complete = np.all([(classes == each).any(1) for each in chord], axis=0)
    bass = (classes[:, 3] == root) | ((classes[:, 3] == third) & (not firm))
    placed = (gaps > 0).all(1) & (gaps[:, :2] <= WIDEST).all(1)
    return ways[complete & bass & placed & ((classes == third).sum(1) <= thirds)]


def _next(
    random: np.random.Generator, before: Voicings | None, options: Voicings, leading: int
) -> Voicings | None:
    """One of the voicings that may follow, more likely one near by; None where there is none."""
    if before is None:
        return options[random.integers(len(options))]
    moves = options - before
    allowed = (np.abs(moves) <= LEAPS).all(1) & ~in_parallel(before[None], options)
    rises = before % 12 == leading  # where a chord follows that has the tonic
    tonic = (leading + 1) % 12
    if rises.any() and (options[0] % 12 == tonic).any():
        allowed &= (moves[:, rises] == 1).all(1)
    options, moves = options[allowed], moves[allowed]
    if not len(options):
        return None
    cost = np.abs(moves).sum(1) / 3 + 1.5 * (moves[:, 0] == 0)  # a melody that moves
    likely = np.exp(cost.min() - cost)
    return options[random.choice(len(options), p=likely / likely.sum())]


def _ornament(
    random: np.random.Generator,
    piece: Piece,
    changes: NDArray[np.integer],
    scale: frozenset[int],
) -> None:
    """Write passing notes before, or suspensions after, the steps where chords change."""
    for change in changes.tolist():
        for voice in random.permutation(piece.shape[1]).tolist():
            if random.random() > ORNAMENTED:
                continue
            here, there = int(piece[change - 1, voice]), int(piece[change, voice])
            up = 1 if there > here else -1
            between = [p for p in range(here + up, there, up) if p % 12 in scale]
            gaps = np.abs(np.diff([here, *between, there]))
            if len(between) in (1, 2) and gaps.max() <= 2:
                _try(piece, slice(change - 2, change), voice, between)
            elif voice < 3 and here - there in (1, 2):
                _try(piece, slice(change, change + 2), voice, [here])


def _try(piece: Piece, steps: slice, voice: int, pitches: Sequence[int]) -> None:
    """Write pitches in place of what a voice sings in these steps, unless a rule forbids it."""
    around = slice(steps.start - 1, steps.stop + 1)
    tried = piece[around].copy()
    tried[1:-1, voice] = np.repeat(pitches, (steps.stop - steps.start) // len(pitches))
    ordered = (np.diff(tried, axis=1) < 0).all()
    if ordered and not in_parallel(tried[:-1], tried[1:]).any():
        piece[around] = tried


def _choice(random: np.random.Generator, options: Sequence[T]) -> T:
    return options[int(random.integers(len(options)))]
