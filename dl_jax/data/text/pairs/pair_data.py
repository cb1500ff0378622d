"""Which texts and summaries a script trains on, as a configuration."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from dl_jax.data.text.fit_tokenizer import Kind, fit_tokenizer
from dl_jax.data.text.pairs.extractive import ExtractiveDataset, extractive_dataset
from dl_jax.data.text.pairs.pair_dataset import PairDataset, pair_dataset
from dl_jax.data.text.pairs.pair_splits import COUNT, FEWER, Splits, pair_splits
from dl_jax.data.text.tokenizer import Tokenizer
from dl_jax.errors import UsageError, check_integer


@dataclass(frozen=True)
class PairData:
    """Texts with their summaries."""

    dataset: str = "dialogues"
    """`dialogues` (they are generated), or a file of JSON lines with `article` or `dialogue` and
    `summary`, or a folder of train, dev and test files, written as ./PATH."""
    count: int = COUNT
    """Generated training dialogues; validation and test have a sixteenth of that each."""
    tokenizer: Kind = "words"
    """How texts are cut into tokens; words that are none are spelled in bytes."""
    vocab_size: int = 2000
    """Different tokens, at most: those that occur most often in the training texts."""
    min_count: int | None = None
    """How often a token must occur in the training texts; 2 where it is not given, 100 in the
    dialogues. There no name does: it is spelled, so that one never seen can be copied."""
    max_source: int = 128
    """Tokens of a text; what is longer is cut."""
    max_target: int = 24
    """Tokens of a summary with its end; what is longer is cut."""
    max_sentences: int = 48
    """Sentences of a text, where they are scored."""
    split_seed: int = 0
    """Chooses the texts that are held out, where splits are not stored."""

    def __post_init__(self) -> None:
        check_integer("count", self.count, low=FEWER)
        check_integer("vocab_size", self.vocab_size, low=259)
        for name in ("min_count", "max_source", "max_target", "max_sentences"):
            if name != "min_count" or self.min_count is not None:
                check_integer(name, getattr(self, name), low=1)
        check_integer("split_seed", self.split_seed, low=0, high=None)

    def load(self) -> dict[str, PairDataset]:
        """The splits `train`, `validation` and `test`, to write summaries.

        Raises:
            UsageError: the dataset is unknown, cannot be read, or is too small; or most of its
                summaries are cut.
        """
        splits, tokenizer = self._read()
        make = partial(pair_dataset, max_source=self.max_source, max_target=self.max_target)
        data = {
            split: make(self.dataset, split, pairs, tokenizer) for split, pairs in splits.items()
        }
        ends = (np.asarray(data["train"].arrays["target"][:]) == data["train"].end).any(1).mean()
        if ends < 0.5:
            raise UsageError(
                f"{1 - ends:.0%} of the summaries have more than max_target, {self.max_target} "
                "tokens: of what is cut, a network never learns to end. Raise max_target, or "
                "vocab_size, so that fewer words are spelled"
            )
        return data

    def load_extractive(self) -> dict[str, ExtractiveDataset]:
        """The splits `train`, `validation` and `test`, to choose sentences.

        Raises:
            UsageError: the dataset is unknown, cannot be read, or is too small.
        """
        splits, tokenizer = self._read()
        make = partial(
            extractive_dataset, max_source=self.max_source, max_sentences=self.max_sentences
        )
        return {
            split: make(self.dataset, split, pairs, tokenizer) for split, pairs in splits.items()
        }

    def _read(self) -> tuple[Splits, Tokenizer]:
        """The pairs of each split, and the tokenizer of the training split, for both sides."""
        splits = pair_splits(self.dataset, self.split_seed, self.count)

        def training_texts() -> Iterator[str]:
            for pair in splits["train"]:
                yield pair.text
                yield from pair.summaries

        least = self.min_count or (100 if self.dataset == "dialogues" else 2)
        tokenizer = fit_tokenizer(
            self.tokenizer, training_texts(), vocab_size=self.vocab_size, min_count=least
        )
        return splits, tokenizer
