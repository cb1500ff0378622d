"""Datasets by name, and the order in which training visits their examples."""

from dl_jax.data.dataset import Dataset
from dl_jax.data.images import ImageDataset, image_statistics, load, load_splits
from dl_jax.data.order import BatchOrder
from dl_jax.data.splits import SPLITS
from dl_jax.data.stream import stream
from dl_jax.data.tables import (
    TABLES,
    Encoding,
    digitize,
    encode,
    fit_encoding,
    load_table,
    quantile_edges,
    read_csv,
    table_splits,
    uniform_edges,
)
from dl_jax.data.toy import TOYS, toy, toy_splits

__all__ = [
    "SPLITS",
    "TABLES",
    "TOYS",
    "BatchOrder",
    "Dataset",
    "Encoding",
    "ImageDataset",
    "digitize",
    "encode",
    "fit_encoding",
    "image_statistics",
    "load",
    "load_splits",
    "load_table",
    "quantile_edges",
    "read_csv",
    "stream",
    "table_splits",
    "toy",
    "toy_splits",
    "uniform_edges",
]
