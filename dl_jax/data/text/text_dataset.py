"""Labeled texts as a dataset."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dl_jax.data.dataset import Dataset, Ordering, grouped_by_length
from dl_jax.data.described import tokenizer_json
from dl_jax.data.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class TextDataset(Dataset):
    """Labeled texts of one split, as tokens.

    `arrays` holds `tokens`, int32 `[examples, max_length]`, with 0 behind each text; `length`,
    int32 `[examples]`, at least 1; and `label`, int32 `[examples]`. Training visits batches of
    texts of similar length.

    Attributes:
        classes: names of the labels, in order.
        tokenizer: that made the tokens.
    """

    classes: tuple[str, ...]
    tokenizer: Tokenizer
    ordering: Ordering = field(default=grouped_by_length("length"), kw_only=True)

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @property
    def files(self) -> dict[str, str]:
        """What a network of these texts cannot do without, as `Run.describe` keeps it."""
        return {
            "tokenizer.json": tokenizer_json(self.tokenizer),
            "classes.json": json.dumps(self.classes),
        }

    def text(self, index: int) -> str:
        """The text of an example, so far as its tokens tell."""
        (tokens,) = self.arrays["tokens"][index : index + 1]
        return self.tokenizer.decode(tokens.tolist())


def as_arrays(
    encoded: Sequence[Sequence[int]], labels: Sequence[int], max_length: int
) -> dict[str, NDArray[np.int32]]:
    """The arrays of a `TextDataset`, of texts that are at most `max_length` tokens long."""
    tokens = np.zeros((len(encoded), max_length), np.int32)
    for row, text in zip(tokens, encoded, strict=True):
        row[: len(text)] = text
    lengths = np.array([len(text) for text in encoded], np.int32)
    return {"tokens": tokens, "length": lengths, "label": np.array(labels, np.int32)}
