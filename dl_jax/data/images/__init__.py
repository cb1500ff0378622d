"""Labeled images: datasets by name, and what is known of images alone."""

from dl_jax.data.images.image_data import ImageData
from dl_jax.data.images.image_dataset import ImageDataset
from dl_jax.data.images.load import load, load_splits
from dl_jax.data.images.statistics import image_statistics

__all__ = ["ImageData", "ImageDataset", "image_statistics", "load", "load_splits"]
