"""Mean and standard deviation of the pixels of a dataset."""

import numpy as np
from numpy.typing import NDArray

from dl_jax.data.dataset import Dataset
from dl_jax.errors import UsageError

BLOCK = 1024
"""Images that are in memory at once."""
MOST = 100_000
"""Images that are looked at, at most: of more, every second, every third, and so on."""


def image_statistics(dataset: Dataset) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation of each channel over all pixels, for images scaled to [0, 1].

    Of more than 100,000 images, as many are looked at, evenly spread.

    Args:
        dataset: its feature `image` is uint8 `[examples, height, width, channels]`.

    Returns:
        Mean and standard deviation, `[channels]`.

    Raises:
        UsageError: the images are not uint8, or there are none.
    """
    images = dataset.arrays["image"]
    if not images.nbytes:
        raise UsageError(f"split {dataset.split!r} of {dataset.name!r} holds no images")
    if images.dtype != np.uint8:
        raise UsageError(f"images are {images.dtype}, expected uint8 as `load` gives them")
    # From the histogram of each channel: exact, and no float copy of the images is made.
    levels = np.arange(256) / 255
    counts = np.zeros((images.shape[-1], 256), np.int64)
    every = -(-len(images) // MOST)
    for start in range(0, len(images), BLOCK * every):
        part = images[start : start + BLOCK * every : every]
        for channel in range(images.shape[-1]):
            counts[channel] += np.bincount(part[..., channel].ravel(), minlength=256)
    weights = counts / counts.sum(1, keepdims=True)
    mean = weights @ levels
    deviation = np.sqrt(np.maximum(weights @ levels**2 - mean**2, 1e-12))
    return mean.astype(np.float32), deviation.astype(np.float32)
