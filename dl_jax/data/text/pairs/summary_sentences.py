"""Which sentences of a text are its summary."""

import re
from collections import Counter
from collections.abc import Sequence

COVERED = 0.8
"""A summary is made of the text's sentences if they are at least this share of its characters."""


def summary_sentences(sentences: Sequence[str], summary: str) -> list[bool]:
    """For each sentence of a text, whether it is in the summary.

    Where the summary is made of the text's own sentences, it is these. Otherwise sentences are
    added one by one, each time the one that raises ROUGE-1 most, until none does.

    Source: Nallapati et al. (2016), "SummaRuNNer", arXiv:1611.04230, section 4, for the latter.
    """
    quoted, covered = _quoted(sentences, summary)
    return quoted if covered >= COVERED else _greedy(sentences, summary)


def _quoted(sentences: Sequence[str], summary: str) -> tuple[list[bool], float]:
    """Which sentences are found in the summary, and the share of its characters that they are.

    Long ones are looked for first and taken out, so that a short one is not found within another.
    White space does not count. Of equal sentences, as many are found as there are.
    """
    left = whole = "".join(summary.split())
    found = [False] * len(sentences)
    for place in sorted(range(len(sentences)), key=lambda place: -len(sentences[place])):
        sentence = "".join(sentences[place].split())
        if sentence in left:
            found[place] = True
            left = left.replace(sentence, "\n", 1)
    kept = len(left.replace("\n", ""))
    return found, 1 - kept / max(1, len(whole))


def _greedy(sentences: Sequence[str], summary: str) -> list[bool]:
    wanted = _words(summary)
    counts = [_words(sentence) for sentence in sentences]
    chosen = [False] * len(sentences)
    so_far, best = Counter(), 0.0
    while not all(chosen):
        rest = [place for place, taken in enumerate(chosen) if not taken]
        scores = {place: _overlap(so_far + counts[place], wanted) for place in rest}
        place = max(rest, key=lambda place: scores[place])
        if scores[place] <= best:
            break
        best, so_far = scores[place], so_far + counts[place]
        chosen[place] = True
    return chosen


def _overlap(words: Counter[str], wanted: Counter[str]) -> float:
    """ROUGE-1: the F1 of the words that both have."""
    total = words.total() + wanted.total()
    return 2 * (words & wanted).total() / total if total else 0.0


def _words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text.lower()))
