"""Texts and their summaries as a dataset: a sequence to read and a sequence to write."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dl_jax.data.dataset import Dataset
from dl_jax.data.described import tokenizer_json
from dl_jax.data.text.pairs.json_lines import Pair
from dl_jax.data.text.tokenizer import Tokenizer
from dl_jax.errors import UsageError

D = TypeVar("D", bound="SummaryDataset")


@dataclass(frozen=True)
class SummaryDataset(Dataset):
    """Texts of one split with their summaries, which stay at hand as text.

    Attributes:
        tokenizer: that made the tokens.
        texts: as they are stored.
        references: of each text its summaries, at least one.

    Raises:
        UsageError: these are not as many as there are examples.
    """

    tokenizer: Tokenizer = field(kw_only=True)
    texts: tuple[str, ...] = field(kw_only=True, repr=False)
    references: tuple[tuple[str, ...], ...] = field(kw_only=True, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not len(self.texts) == len(self.references) == self.size:
            raise UsageError(
                f"dataset {self.name!r} has {len(self.texts)} texts and {len(self.references)} "
                f"with summaries, expected one of each for {self.size} examples"
            )

    @property
    def files(self) -> dict[str, str]:
        """What a network of these texts cannot do without, as `Run.describe` keeps it."""
        return {"tokenizer.json": tokenizer_json(self.tokenizer)}

    def subset(self: D, indices: NDArray[np.integer], split: str | None = None) -> D:
        """The examples at `indices`, as the split `split` if one is given."""
        arrays = {name: array[indices] for name, array in self.arrays.items()}
        places = np.arange(self.size)[indices].tolist()
        chosen: dict[str, Any] = {
            "texts": tuple(self.texts[place] for place in places),
            "references": tuple(self.references[place] for place in places),
        }
        return replace(self, split=split or self.split, arrays=arrays, **chosen)


@dataclass(frozen=True)
class PairDataset(SummaryDataset):
    """Texts and their first summaries, as tokens of the same tokenizer.

    `arrays` holds `source`, int32 `[examples, max_source]`, and `target`, int32
    `[examples, max_target + 1]`, with 0 behind each; `source_length` and `target_length`, int32
    `[examples]`. A target is `begin`, the summary, `end`: a decoder reads `target[:, :-1]` and is
    to say `target[:, 1:]`. A text that is longer is cut; so is a summary, and it then has no `end`.

    The tokenizer's tokens are followed by `begin` and `end`, which it does not know.
    """

    @property
    def begin(self) -> int:
        """The token with which each target begins."""
        return self.tokenizer.size

    @property
    def end(self) -> int:
        """The token with which each target ends."""
        return self.tokenizer.size + 1

    @property
    def vocab_size(self) -> int:
        """Number of different tokens, those of padding, begin and end included."""
        return self.tokenizer.size + 2

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of a target, up to its first end; what begins it and padding are left out.

        Raises:
            UsageError: a number is no token.
        """
        written = []
        for token in tokens:
            if token == self.end:
                break
            if token != self.begin:
                written.append(int(token))
        return self.tokenizer.decode(written)


def pair_dataset(
    name: str,
    split: str,
    pairs: Sequence[Pair],
    tokenizer: Tokenizer,
    *,
    max_source: int,
    max_target: int,
) -> PairDataset:
    """The dataset of these pairs."""
    begin, end = tokenizer.size, tokenizer.size + 1
    sources = [tokenizer.encode(pair.text)[:max_source] for pair in pairs]
    targets = [
        [begin, *tokenizer.encode(pair.summaries[0]), end][: max_target + 1] for pair in pairs
    ]
    arrays = {
        "source": padded(sources, max_source),
        "source_length": np.array([len(row) for row in sources], np.int32),
        "target": padded(targets, max_target + 1),
        "target_length": np.array([len(row) for row in targets], np.int32),
    }
    return PairDataset(name, split, arrays, tokenizer=tokenizer, **as_texts(pairs))


def as_texts(pairs: Sequence[Pair]) -> dict[str, Any]:
    """`texts` and `references` of a `SummaryDataset`."""
    return {
        "texts": tuple(pair.text for pair in pairs),
        "references": tuple(pair.summaries for pair in pairs),
    }


def padded(rows: Sequence[Sequence[int]], width: int, padding: int = 0) -> NDArray[np.int32]:
    """Rows of at most `width` numbers as one array, with `padding` behind each."""
    array = np.full((len(rows), width), padding, np.int32)
    for place, row in enumerate(rows):
        array[place, : len(row)] = row
    return array
