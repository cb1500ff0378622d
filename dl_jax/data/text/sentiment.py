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
    texts, labels = zip(*(_text(random) for _ in range(count)), strict=True)
    return list(texts), list(labels)


def _text(random: np.random.Generator) -> tuple[str, int]:
    label, negated = (bool(bit) for bit in random.integers(0, 2, 2))
    rivals = random.permutation(len(OTHERS))[: random.integers(1, 3)]
    # The first rival is judged the other way round, with as many negations: its mirror image.
    judgments = [_judgment(random, _choice(random, FILM), label != negated, negated)]
    judgments.append(_judgment(random, OTHERS[rivals[0]], label == negated, negated))
    for rival in rivals[1:]:
        good, not_ = (bool(bit) for bit in random.integers(0, 2, 2))
        judgments.append(_judgment(random, OTHERS[rival], good, not_))
    text = ""
    for place, which in enumerate(random.permutation(len(judgments))):
        text += (_choice(random, LINKS) if place else "") + judgments[which]
    return text, int(label)


def _judgment(random: np.random.Generator, subject: str, good: bool, negated: bool) -> str:
    words = [subject, _choice(random, VERBS), "not" if negated else "", _choice(random, DEGREES)]
    words.append(_choice(random, GOOD if good else BAD))
    return " ".join(word for word in words if word)


def _choice(random: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(random.integers(len(options)))]
