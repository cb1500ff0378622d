"""Texts with their summaries: read, generated, and as datasets to write or to choose from."""

from dl_jax.data.text.pairs.extractive import ExtractiveDataset
from dl_jax.data.text.pairs.pair_data import PairData
from dl_jax.data.text.pairs.pair_dataset import PairDataset
from dl_jax.data.text.pairs.sentence_splitter import lead, sentences

__all__ = ["ExtractiveDataset", "PairData", "PairDataset", "lead", "sentences"]
