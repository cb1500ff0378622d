"""What `load` needs to know of stored images, wherever and however they are stored."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from dl_jax.data.dataset import LazyArray
from dl_jax.errors import UsageError, check_integer

DECODING = 3
"""Version of the decoding: raise it with any change of the pixels or labels that it gives."""
MAX_SIDE = 2**14
"""Largest height and width that images are scaled to, in pixels."""
ImageSize = tuple[int, int]


@dataclass(frozen=True)
class Examples:
    """Labeled images of one split, read and decoded when asked for; by several threads at once.

    Attributes:
        shape: of all images together, `(examples, height, width, channels)`.
        images: `images(indices)`, uint8 `[count, height, width, channels]`.
        labels: `labels(indices)`, int32 `[count]`.
    """

    shape: tuple[int, int, int, int]
    images: Callable[[Sequence[int]], NDArray[np.uint8]]
    labels: Callable[[Sequence[int]], NDArray[np.int32]]


class EncodedImages(LazyArray):
    """The images of a split, decoded whenever they are indexed."""

    def __init__(self, examples: Examples) -> None:
        super().__init__(examples.shape, np.uint8)
        self.examples = examples

    def __getitem__(self, rows: NDArray[np.integer] | slice) -> NDArray[np.uint8]:
        chosen = np.arange(len(self))[rows]
        return self.examples.images(chosen.ravel().tolist()).reshape(*chosen.shape, *self.shape[1:])


@dataclass(frozen=True)
class Source:
    """Labeled images on disk that are not decoded yet.

    Attributes:
        name: as given to `load`.
        classes: names of the labels, in their order.
        splits: name of each stored split to its number of examples.
        fingerprint: changes whenever the files do.
        open: `open(split, image_size)` gives the examples of a split; `image_size` is the height
            and width to scale to, or None.
        hidden: splits whose labels are withheld: all are -1.
    """

    name: str
    classes: tuple[str, ...]
    splits: Mapping[str, int]
    fingerprint: str
    open: Callable[[str, ImageSize | None], Examples]
    hidden: frozenset[str] = frozenset()


def check_image_size(image_size: ImageSize | None) -> None:
    """Raise unless height and width are integers from 1 to `MAX_SIDE`.

    Raises:
        UsageError: names the side and its value.
    """
    if image_size is None:
        return
    for side, value in zip(("height", "width"), image_size, strict=True):
        check_integer(f"image_size: the {side}", value, low=1, high=MAX_SIDE)


def check_label(label: int, classes: tuple[str, ...], where: str) -> None:
    """Raise unless a label is that of a class.

    Raises:
        UsageError: names the record and the label.
    """
    if not 0 <= label < len(classes):
        raise UsageError(
            f"{where} has the label {label}, expected 0 to {len(classes) - 1}, as there are "
            f"{len(classes)} classes"
        )


def differ_in_size(name: str) -> UsageError:
    """The images of a set cannot be one array without an `image_size`."""
    return UsageError(
        f"images of {name!r} differ in size: choose the size to scale them to with image_size "
        "(--image-size HEIGHT WIDTH)"
    )


def to_pixels(image: Image.Image, channels: int, image_size: ImageSize | None) -> NDArray[np.uint8]:
    """Pixels `[height, width, channels]`: gray levels or RGB.

    If a size is given, the image is scaled, its aspect kept, until it covers that size, and cropped
    to its middle. Transparency is dropped.
    """
    image = image.convert("L" if channels == 1 else "RGB")
    if image_size is not None:
        height, width = image_size
        image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    return np.asarray(image, np.uint8).reshape(image.height, image.width, channels)
