"""Texts, labeled, long or summarized: tokenizers, and datasets by name."""

from dl_jax.data.text.corpus import Corpus, CorpusData, load_corpus
from dl_jax.data.text.fit_tokenizer import fit_tokenizer, read_tokenizer, tokenizer_of
from dl_jax.data.text.load import load_texts
from dl_jax.data.text.pairs import ExtractiveDataset, PairData, PairDataset, lead, sentences
from dl_jax.data.text.text_data import TextData
from dl_jax.data.text.text_dataset import TextDataset
from dl_jax.data.text.tokenizer import Tokenizer
from dl_jax.data.text.vocabulary import VocabularyTokenizer

__all__ = [
    "Corpus",
    "CorpusData",
    "ExtractiveDataset",
    "PairData",
    "PairDataset",
    "TextData",
    "TextDataset",
    "Tokenizer",
    "VocabularyTokenizer",
    "fit_tokenizer",
    "lead",
    "load_corpus",
    "load_texts",
    "read_tokenizer",
    "sentences",
    "tokenizer_of",
]
