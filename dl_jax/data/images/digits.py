"""The digits that come with scikit-learn: 1,797 images of 8x8 pixels, always available."""

from typing import Any

import numpy as np
from PIL import Image

from dl_jax.data.images.image_dataset import ImageDataset
from dl_jax.data.images.source import ImageSize, to_pixels


def digits(image_size: ImageSize | None = None) -> ImageDataset:
    """All 1,797 examples, their 17 gray levels spread over 0..255, scaled if a size is given.

    Source: Alpaydin and Kaynak (1998), "Optical recognition of handwritten digits", UCI.
    """
    from sklearn.datasets import load_digits  # imported here: it takes a second

    bunch: Any = load_digits()
    images = np.round(bunch.images * (255 / 16)).astype(np.uint8)[..., None]  # [N, 8, 8, 1]
    if image_size is not None:
        scaled = [to_pixels(Image.fromarray(image[..., 0]), 1, image_size) for image in images]
        images = np.stack(scaled)
    arrays = {"image": images, "label": bunch.target.astype(np.int32)}
    return ImageDataset("digits", "all", arrays, tuple(str(digit) for digit in range(10)))
