"""A small language in which films are judged, generated: which words occur says nothing.

A text is several judgments, of which one is about the film: "my seat was not bad while the film
seemed rather dull". For each text there is one with the same words in which the film and something
else have changed places, and with it the label. Whoever counts words is right half of the time.
"""

from collections.abc import Sequence

import numpy as np

CLASSES = ("negative", "positive")
COUNT = 12_000
"""Texts, of all splits together."""
FILM = ("the film", "the movie", "this picture")
OTHERS = (
    "the popcorn", "my seat", "the trailer", "the weather", "the book", "our dinner", "the hall",
    "the music before it",
)  # fmt: skip
GOOD = ("good", "great", "moving", "funny", "brilliant", "fresh", "lovely", "superb")
BAD = ("bad", "dull", "awful", "boring", "stale", "cold", "poor", "terrible")
VERBS = ("was", "seemed", "felt")
DEGREES = ("", "", "very", "rather", "truly")
LINKS = (" and ", " while ", " , ", " but ")


def sentiment_texts(count: int = COUNT, seed: int = 0) -> tuple[list[str], list[int]]:
    """Texts and their labels, 1 where the film is found good.

    Args:
        count: number of texts.
        seed: of the generator; the same seed gives the same texts.
    """
    random = np.random.default_rng(seed)
    label, negated, good, not_, both = random.integers(0, 2, (5, count)).astype(bool)
    rivals = random.permuted(np.tile(OTHERS, (count, 1)), axis=1)
    judgments = [
        _judgments(random, random.choice(FILM, count), label != negated, negated),
        # The first rival is judged the other way round, with as many negations: its mirror image.
        _judgments(random, rivals[:, 0], label == negated, negated),
        np.where(both, _judgments(random, rivals[:, 1], good, not_), ""),
    ]
    told = random.permuted(np.stack(judgments, axis=1), axis=1).tolist()
    links = random.choice(LINKS, (count, 2)).tolist()
    return [_text(*each) for each in zip(told, links, strict=True)], label.astype(int).tolist()


def _judgments(
    random: np.random.Generator, subjects: np.ndarray, good: np.ndarray, negated: np.ndarray
) -> np.ndarray:
    """A judgment of each subject."""
    count = len(subjects)
    words = (
        subjects,
        random.choice(VERBS, count),
        np.where(negated, "not", ""),
        random.choice(DEGREES, count),
        np.where(good, random.choice(GOOD, count), random.choice(BAD, count)),
    )
    return np.array([" ".join(filter(None, each)) for each in zip(*words, strict=True)])


def _text(judgments: Sequence[str], links: Sequence[str]) -> str:
    """What is judged, in turn; an empty judgment is left out."""
    first, *others = filter(None, judgments)
    return first + "".join(link + each for link, each in zip(links, others, strict=False))
