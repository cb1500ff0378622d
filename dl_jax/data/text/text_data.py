"""Which texts a script trains on, as a configuration."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dl_jax.configuration import place_only
from dl_jax.data.text.load import load_texts
from dl_jax.data.text.text_dataset import TextDataset
from dl_jax.errors import check_integer


@dataclass(frozen=True)
class TextData:
    """A dataset of labeled texts."""

    dataset: str = "sentiment"
    """`sentiment` (it comes with the installation), or the TFDS name of a text classification
    dataset such as `imdb_reviews` or `glue/sst2`."""
    tokenizer: Literal["characters", "words", "byte_pairs"] = "words"
    """How texts are cut into tokens."""
    vocab_size: int = 20_000
    """Different tokens, at most: those that occur most often in the training texts."""
    min_count: int = 2
    """How often a token must occur in the training texts."""
    max_length: int = 400
    """Tokens of a text; what is longer is cut."""
    keep: Literal["start", "end"] = "start"
    """What is kept of a text that is longer."""
    whole_sentences: bool = False
    """Hold out sentences with all their phrases, for training texts that are both (SST-2)."""
    split_seed: int = 0
    """Chooses the texts that are held out for validation (and for the test, if the dataset has no
    test split)."""
    data_dir: Path | None = place_only(None)
    """Folder of prepared TFDS datasets; `$TFDS_DATA_DIR` where it is not given."""

    def __post_init__(self) -> None:
        check_integer("vocab_size", self.vocab_size, low=3)
        check_integer("min_count", self.min_count, low=1)
        check_integer("max_length", self.max_length, low=1)
        check_integer("split_seed", self.split_seed, low=0, high=None)

    def load(self) -> dict[str, TextDataset]:
        """Its splits `train`, `validation` and `test`.

        Raises:
            UsageError: the dataset is unknown, not prepared or cannot be read.
            RunError: the disk of the cache is full.
        """
        return load_texts(
            self.dataset,
            self.data_dir,
            tokenizer=self.tokenizer,
            vocab_size=self.vocab_size,
            min_count=self.min_count,
            max_length=self.max_length,
            keep=self.keep,
            split_seed=self.split_seed,
            whole_sentences=self.whole_sentences,
        )
