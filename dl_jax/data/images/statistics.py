"""Mean and standard deviation of the pixels of a dataset."""

import numpy as np
from numpy.typing import NDArray

from dl_jax.data.dataset import Dataset
from dl_jax.errors import UsageError


def image_statistics(dataset: Dataset) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation of each channel over all pixels, for images scaled to [0, 1].

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
    for start in range(0, len(images), 8192):
        part = images[start : start + 8192]
        for channel in range(images.shape[-1]):
            counts[channel] += np.bincount(part[..., channel].ravel(), minlength=256)
    weights = counts / counts.sum(1, keepdims=True)
    mean = weights @ levels
    deviation = np.sqrt(np.maximum(weights @ levels**2 - mean**2, 1e-12))
    return mean.astype(np.float32), deviation.astype(np.float32)
