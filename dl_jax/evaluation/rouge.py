"""ROUGE: how much of a summary is said by another."""

import re
from collections.abc import Sequence
from typing import Any

from dl_jax.errors import UsageError

KINDS = ("rouge1", "rouge2", "rougeL")


def rouge(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """The mean F1 of `rouge1`, `rouge2` and `rougeL`, in percent.

    ROUGE-1 counts the words that both have, ROUGE-2 the pairs of neighboring words, and ROUGE-L the
    longest sequence of words that both have in this order. Words are letters and digits of any
    script, in lower case and not stemmed.
    Of several references the best counts, for each example and kind.

    Args:
        predictions: a summary of each example.
        references: for each example its summaries, at least one.

    Raises:
        UsageError: the library rouge-score is missing.
        ValueError: there is no example, not one prediction for each, or one without references.

    Source: Lin (2004), "ROUGE: A Package for Automatic Evaluation of Summaries".
    """
    if not len(predictions) == len(references) > 0:
        raise ValueError(
            f"there are {len(predictions)} predictions for {len(references)} examples, expected "
            "one for each of at least one"
        )
    if not all(references):
        raise ValueError("an example has no references, expected at least one summary of each")
    scorer = _library().RougeScorer(KINDS, tokenizer=Words())
    totals = dict.fromkeys(KINDS, 0.0)
    for prediction, known in zip(predictions, references, strict=True):
        for kind, score in scorer.score_multi(known, prediction).items():
            totals[kind] += score.fmeasure
    return {kind: 100 * total / len(predictions) for kind, total in totals.items()}


class Words:
    """Cuts a text as the library asks for it; its own way knows the letters a to z alone."""

    def tokenize(self, text: str) -> list[str]:
        """The words of a text, in lower case."""
        return re.findall(r"[^\W_]+", text.lower())


def _library() -> Any:
    try:
        from rouge_score import rouge_scorer  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UsageError(
            "ROUGE needs the library rouge-score: pip install -e '.[summarization]'"
        ) from error
    return rouge_scorer
