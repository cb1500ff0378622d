"""The digits that come with scikit-learn: 1,797 images of 8x8 pixels, always at hand."""

from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from dl_jax.data.images.image_dataset import ImageDataset


def digits() -> ImageDataset:
    """All 1,797 examples, their 17 gray levels spread over 0..255.

    Source: Alpaydin and Kaynak (1998), "Optical recognition of handwritten digits", UCI.
    """
    bunch: Any = load_digits()
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)[..., None]  # [N, 8, 8, 1]
    arrays = {"image": images, "label": bunch.target.astype(np.int32)}
    return ImageDataset("digits", "all", arrays, tuple(str(digit) for digit in range(10)))
