"""Datasets by name, and the order in which training visits their examples."""

from dl_jax.data.dataset import Dataset, Ordering, contiguous, grouped_by_length, shuffled
from dl_jax.data.images import ImageData, ImageDataset, image_statistics, load, load_splits
from dl_jax.data.order import Contiguous, GroupedByLength, Order, Shuffled
from dl_jax.data.process_slice import process_slice
from dl_jax.data.series import SERIES, SeriesData, load_series
from dl_jax.data.splits import SPLITS
from dl_jax.data.stream import evaluation_batches, stream
from dl_jax.data.tables import (
    TABLES,
    Encoding,
    TableData,
    digitize,
    encode,
    fit_encoding,
    load_table,
    quantile_edges,
    read_csv,
    table_splits,
    uniform_edges,
)
from dl_jax.data.text import (
    Corpus,
    CorpusData,
    TextData,
    TextDataset,
    Tokenizer,
    VocabularyTokenizer,
    fit_tokenizer,
    load_corpus,
    load_texts,
    read_tokenizer,
    tokenizer_json,
    tokenizer_of,
)
from dl_jax.data.toy import TOYS, toy, toy_splits
from dl_jax.data.toy_data import ToyData
from dl_jax.data.windows import Windows

__all__ = [
    "SERIES",
    "SPLITS",
    "TABLES",
    "TOYS",
    "Contiguous",
    "Corpus",
    "CorpusData",
    "Dataset",
    "Encoding",
    "GroupedByLength",
    "ImageData",
    "ImageDataset",
    "Order",
    "Ordering",
    "SeriesData",
    "Shuffled",
    "TableData",
    "TextData",
    "TextDataset",
    "Tokenizer",
    "ToyData",
    "VocabularyTokenizer",
    "Windows",
    "contiguous",
    "digitize",
    "encode",
    "evaluation_batches",
    "fit_encoding",
    "fit_tokenizer",
    "grouped_by_length",
    "image_statistics",
    "load",
    "load_corpus",
    "load_series",
    "load_splits",
    "load_table",
    "load_texts",
    "process_slice",
    "quantile_edges",
    "read_csv",
    "read_tokenizer",
    "shuffled",
    "stream",
    "table_splits",
    "tokenizer_json",
    "tokenizer_of",
    "toy",
    "toy_splits",
    "uniform_edges",
]
