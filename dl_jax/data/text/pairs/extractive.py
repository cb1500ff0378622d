"""Texts whose sentences are scored: which of them are the summary."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from dl_jax.data.text.pairs.json_lines import Pair
from dl_jax.data.text.pairs.pair_dataset import SummaryDataset, as_texts, padded
from dl_jax.data.text.pairs.sentence_splitter import lead, sentences
from dl_jax.data.text.pairs.summary_sentences import summary_sentences
from dl_jax.data.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class ExtractiveDataset(SummaryDataset):
    """Texts as tokens, of which each knows its sentence, and whether a sentence is in the summary.

    `arrays` holds `source`, int32 `[examples, max_source]`, with 0 behind each text, and its
    `source_length`, int32 `[examples]`; `sentence`, int32 `[examples, max_source]`, for each token
    the place of its sentence in the text, with -1 behind (of which a one-hot vector is zero);
    `sentences`, int32 `[examples]`, how many sentences that are; and `label`, bool
    `[examples, max_sentences]`, which of them are in the first summary (`summary_sentences`).

    A text is cut behind `max_source` tokens and behind `max_sentences` sentences; what is cut off
    cannot be chosen.
    """

    def chosen(self, index: int, scores: Float[np.ndarray, " max_sentences"], count: int) -> str:
        """The `count` sentences of a text with the highest scores, in the order of the text."""
        (known,) = self.arrays["sentences"][index : index + 1].tolist()
        best = np.argsort(-scores[:known], kind="stable")[:count]
        found = sentences(self.texts[index])
        return " ".join(found[place] for place in sorted(best.tolist()))

    def lead(self, index: int, count: int) -> str:
        """The first `count` sentences of a text."""
        return lead(self.texts[index], count)


def extractive_dataset(
    name: str,
    split: str,
    pairs: Sequence[Pair],
    tokenizer: Tokenizer,
    *,
    max_source: int,
    max_sentences: int,
) -> ExtractiveDataset:
    """The dataset of these pairs."""
    sources, places = [], []
    label = np.zeros((len(pairs), max_sentences), bool)
    for row, pair in enumerate(pairs):
        found = sentences(pair.text)
        tokens, place = _numbered(tokenizer, found[:max_sentences])
        sources.append(tokens[:max_source])
        places.append(place[:max_source])
        known = places[-1][-1] + 1
        label[row, :known] = summary_sentences(found, pair.summaries[0])[:known]
    arrays: dict[str, NDArray] = {
        "source": padded(sources, max_source),
        "source_length": np.array([len(row) for row in sources], np.int32),
        "sentence": padded(places, max_source, padding=-1),
        "sentences": np.array([row[-1] + 1 for row in places], np.int32),
        "label": label,
    }
    return ExtractiveDataset(name, split, arrays, tokenizer=tokenizer, **as_texts(pairs))


def _numbered(tokenizer: Tokenizer, found: Sequence[str]) -> tuple[list[int], list[int]]:
    """The tokens of sentences with spaces between them, and of each token its sentence."""
    tokens, places = [], []
    for place, sentence in enumerate(found):
        encoded = tokenizer.encode(f" {sentence}" if place else sentence)
        tokens += encoded
        places += [place] * len(encoded)
    return tokens, places
