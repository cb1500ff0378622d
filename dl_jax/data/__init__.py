"""Datasets by name: arrays for the device, or a stream of batches."""

from dl_jax.data.binning import equal_count_edges, equal_width_edges, to_bins
from dl_jax.data.dataset import Dataset, image_statistics
from dl_jax.data.encoding import Encoding, encode, fit_encoding, table_splits
from dl_jax.data.load import load, load_splits
from dl_jax.data.order import BatchOrder
from dl_jax.data.stream import stream
from dl_jax.data.table import TABLES, load_table, read_csv
from dl_jax.data.toy import TOYS, toy, toy_splits

__all__ = [
    "TABLES",
    "TOYS",
    "BatchOrder",
    "Dataset",
    "Encoding",
    "encode",
    "equal_count_edges",
    "equal_width_edges",
    "fit_encoding",
    "image_statistics",
    "load",
    "load_splits",
    "load_table",
    "read_csv",
    "stream",
    "table_splits",
    "to_bins",
    "toy",
    "toy_splits",
]
