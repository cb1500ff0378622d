"""Image classification datasets prepared by TensorFlow Datasets."""

import functools
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dl_jax.data import tfds_records
from dl_jax.data.images.source import (
    Examples,
    ImageSize,
    Source,
    check_label,
    differ_in_size,
    to_pixels,
)
from dl_jax.data.tfds_folder import Wanted
from dl_jax.data.tfds_records import Prepared
from dl_jax.errors import UsageError

WANTED = Wanted(
    ("digits", "shapes"),
    "an image classification dataset such as 'mnist'",
    "a folder of images written as ./FOLDER",
)


@dataclass(frozen=True)
class Images:
    """The images and labels of a prepared dataset.

    Attributes:
        prepared: the dataset.
        classes: names of the labels.
        image: name of the feature that holds the images.
        label: name of the feature that holds the labels.
        image_shape: `(height, width, channels)`; None where images differ in that size. Channels
            are those that images are decoded to: 1, or 3.
    """

    prepared: Prepared
    classes: tuple[str, ...]
    image: str
    label: str
    image_shape: tuple[int | None, ...]


def find(name: str, data_dir: str | os.PathLike[str] | None) -> Source:
    """The newest version of a dataset prepared under `data_dir`.

    Raises:
        UsageError: the name is unknown, the folder is missing or cannot be read, the dataset is
            not in it, or it is not one of images with labels.
    """
    found = _images(tfds_records.find(name, data_dir, WANTED))
    prepared = found.prepared
    hidden = frozenset({"test"} if prepared.hides("test", found.label) else ())
    open_split = functools.partial(_examples, found)
    return Source(name, found.classes, prepared.splits, prepared.fingerprint, open_split, hidden)


def _images(prepared: Prepared) -> Images:
    name, features = prepared.name, prepared.features
    image_name, label_name = prepared.supervised or ("image", "label")
    if image_name not in prepared.named("image") or label_name not in prepared.named("label"):
        raise UsageError(
            f"dataset {name!r} is not one of images with labels: expected an image and a class "
            f"label, found {', '.join(features) or 'no named features'}"
        )
    image, label = features[image_name], features[label_name]
    if np.dtype(image.np_dtype) != np.uint8:
        raise UsageError(f"images of {name!r} are {image.np_dtype}, expected bytes (uint8)")
    if not label.num_classes:
        raise UsageError(f"dataset {name!r} does not say how many classes its labels have")
    height, width, channels = image.shape
    shape = (height, width, 1 if channels == 1 else 3)  # transparency is dropped
    return Images(prepared, tuple(label.names), image_name, label_name, shape)


def _examples(found: Images, split: str, image_size: ImageSize | None) -> Examples:
    """The images and labels of one split.

    Its functions raise UsageError where a record cannot be read or decoded, or its label is not
    that of a class.
    """
    height, width = image_size or found.image_shape[:2]
    if height is None or width is None:
        raise differ_in_size(found.prepared.name)
    records = found.prepared.records(split, encoded=[found.image])
    shape = (height, width, found.image_shape[-1] or 3)

    def pixels(index: int, record: dict) -> np.ndarray:
        try:
            with Image.open(io.BytesIO(record[found.image])) as image:
                return to_pixels(image, shape[-1], image_size).reshape(shape)  # no broadcasting
        except Exception as error:
            raise records.corrupt(index, error) from error

    def images(indices: Sequence[int]) -> np.ndarray:
        read = records.read(indices)
        return np.stack([pixels(*pair) for pair in zip(indices, read, strict=True)])

    def labels(indices: Sequence[int]) -> np.ndarray:
        read = [int(record[found.label]) for record in records.read(indices)]
        for index, label in zip(indices, read, strict=True):
            check_label(label, found.classes, records.named(index))
        return np.array(read, np.int32)

    return Examples((len(records.source), *shape), images, labels)
