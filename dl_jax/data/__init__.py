"""Datasets by name: arrays for the device, or a stream of batches."""

from dl_jax.data.dataset import Dataset, image_statistics
from dl_jax.data.load import load, load_splits
from dl_jax.data.order import BatchOrder
from dl_jax.data.stream import stream
from dl_jax.data.toy import TOYS, toy, toy_splits

__all__ = [
    "TOYS",
    "BatchOrder",
    "Dataset",
    "image_statistics",
    "load",
    "load_splits",
    "stream",
    "toy",
    "toy_splits",
]
