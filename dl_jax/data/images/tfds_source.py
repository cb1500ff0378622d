"""Image classification datasets prepared by TensorFlow Datasets, read without TensorFlow.

Only what lies on disk is opened: nothing is ever downloaded.
"""

import functools
import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordReader
from PIL import Image

from dl_jax.data.images.source import (
    Examples,
    ImageSize,
    Source,
    check_label,
    differ_in_size,
    to_pixels,
)
from dl_jax.data.images.tfds_folder import (
    check_feature_classes,
    data_directory,
    fingerprint_of,
    newest_version,
)
from dl_jax.errors import UsageError

LABELS_SEEN = 100
"""Labels, spread over a split, by which one knows whether its labels are withheld."""
NAME_PATTERN = r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}"


@dataclass(frozen=True)
class Prepared:
    """One dataset found on disk.

    Attributes:
        name: as TFDS writes it, `cifar10` or `glue/sst2`.
        folder: holds its records and `dataset_info.json`.
        builder: TFDS's.
        classes: names of the labels.
        image: name of the feature that holds the images.
        label: name of the feature that holds the labels.
        image_shape: `(height, width, channels)`; None where images differ in that size. Channels
            are those that images are decoded to: 1, or 3.
    """

    name: str
    folder: Path
    builder: Any
    classes: tuple[str, ...]
    image: str
    label: str
    image_shape: tuple[int | None, ...]


def is_known(name: str, data_dir: str | os.PathLike[str] | None) -> bool:
    """Whether TFDS has a dataset of this name, or one lies prepared under `data_dir`."""
    base = name.split("/")[0]
    return base in _known() or (data_directory(data_dir) / base).is_dir()


def find(name: str, data_dir: str | os.PathLike[str] | None) -> Source:
    """The newest version of a dataset prepared under `data_dir`.

    Raises:
        UsageError: the name is unknown, the folder is missing or cannot be read, the dataset is
            not in it, or it is not one of images with labels.
    """
    if not all(re.fullmatch(NAME_PATTERN, part) for part in name.split("/")):
        raise UsageError(
            f"dataset is {name!r}, expected 'digits', a TFDS name such as 'mnist' or 'glue/sst2', "
            "or a folder of images written as ./FOLDER"
        )
    root = data_directory(data_dir)
    try:
        folder = newest_version(name, root, _known)
        prepared = _open(name, folder)
        splits = {split: info.num_examples for split, info in prepared.builder.info.splits.items()}
        hidden = {"test"} if splits.get("test") and _is_hidden(prepared, "test") else set()
        fingerprint = fingerprint_of(folder)
    except OSError as error:
        raise _unreadable(name, error) from error
    open_split = functools.partial(_examples, prepared)
    return Source(name, prepared.classes, splits, fingerprint, open_split, frozenset(hidden))


def _open(name: str, folder: Path) -> Prepared:
    check_feature_classes(name, folder)
    try:
        builder: Any = tfds.builder_from_directory(folder)
        info = builder.info
        features: Any = info.features
        keys: Any = info.supervised_keys or ()
        dict(info.splits)
    except OSError:
        raise
    except Exception as error:
        raise UsageError(
            f"dataset {name!r} in {folder} cannot be opened ({_first_line(error)}): "
            "prepare it again"
        ) from error
    found: dict[str, Any] = dict(features) if hasattr(features, "items") else {}
    named = len(keys) == 2 and all(isinstance(key, str) for key in keys)
    image_name, label_name = keys if named else ("image", "label")
    image: Any = found.get(image_name)
    label: Any = found.get(label_name)
    kinds: Any = tfds.features
    if not (isinstance(image, kinds.Image) and isinstance(label, kinds.ClassLabel)):
        raise UsageError(
            f"dataset {name!r} is not one of images with labels: expected an image and a class "
            f"label, found {', '.join(found) or 'no named features'}"
        )
    if np.dtype(image.np_dtype) != np.uint8:
        raise UsageError(f"images of {name!r} are {image.np_dtype}, expected bytes (uint8)")
    if not label.num_classes:
        raise UsageError(f"dataset {name!r} does not say how many classes its labels have")
    height, width, channels = image.shape
    shape = (height, width, 1 if channels == 1 else 3)  # transparency is dropped
    return Prepared(name, folder, builder, tuple(label.names), image_name, label_name, shape)


def _is_hidden(prepared: Prepared, split: str) -> bool:
    """Whether the labels of a split are withheld: -1, as far as one looks."""
    source = _data_source(prepared, split)
    indices = np.linspace(0, len(source) - 1, min(len(source), LABELS_SEEN)).astype(int)
    return all(
        int(_read(source, [int(index)], prepared, split)[0][prepared.label]) == -1
        for index in indices
    )


def _data_source(prepared: Prepared, split: str) -> Any:
    """The records of a split, their images not decoded."""
    info = prepared.builder.info
    where = f"dataset {prepared.name!r} in {prepared.folder}"
    if info.file_format.value != "array_record":
        raise UsageError(
            f"{where} is stored as {info.file_format.value}: prepare it again with "
            "--file_format=array_record"
        )
    _check_shards(prepared, split)
    skip: Any = {prepared.image: tfds.decode.SkipDecoding()}
    try:
        return prepared.builder.as_data_source(split, decoders=skip)
    except Exception as error:
        raise UsageError(
            f"split {split!r} of {where} cannot be opened ({_first_line(error)}): prepare it "
            "again with --file_format=array_record"
        ) from error


def _check_shards(prepared: Prepared, split: str) -> None:
    """Raise unless each file of a split holds the records that `dataset_info.json` counts.

    Raises:
        UsageError: a file is missing, unreadable, corrupt or another copy's.
    """
    info: Any = prepared.builder.info.splits[split]
    for path, length in zip(info.filepaths, info.shard_lengths, strict=True):
        try:
            with open(path, "rb"):
                pass
            held = ArrayRecordReader(str(path)).num_records()
        except FileNotFoundError as error:
            raise UsageError(
                f"the file {path} is missing: put it back, or prepare the dataset again"
            ) from error
        except OSError as error:
            raise _unreadable(prepared.name, error) from error
        except Exception as error:
            raise UsageError(
                f"the file {path} is corrupt ({_first_line(error)}): delete the folder "
                f"{prepared.folder} and prepare the dataset again"
            ) from error
        if held == 0 and length:
            raise UsageError(
                f"the file {path} is corrupt (it holds no readable record): delete the folder "
                f"{prepared.folder} and prepare the dataset again"
            )
        if held != length:
            raise UsageError(
                f"the file {path} holds {held} records, expected {length} as dataset_info.json "
                "beside it says: they belong to different copies of the dataset, restore one"
            )


def _examples(prepared: Prepared, split: str, image_size: ImageSize | None) -> Examples:
    """The images and labels of one split.

    Its functions raise UsageError where a record cannot be read or decoded, or its label is not
    that of a class.
    """
    height, width = image_size or prepared.image_shape[:2]
    if height is None or width is None:
        raise differ_in_size(prepared.name)
    source = _data_source(prepared, split)
    shape = (height, width, prepared.image_shape[-1] or 3)

    def pixels(index: int, record: dict) -> np.ndarray:
        try:
            with Image.open(io.BytesIO(record[prepared.image])) as image:
                return to_pixels(image, shape[-1], image_size).reshape(shape)  # no broadcasting
        except Exception as error:
            raise _corrupt(prepared, split, index, error) from error

    def images(indices: Sequence[int]) -> np.ndarray:
        records = _read(source, indices, prepared, split)
        return np.stack([pixels(*pair) for pair in zip(indices, records, strict=True)])

    def labels(indices: Sequence[int]) -> np.ndarray:
        found = [int(record[prepared.label]) for record in _read(source, indices, prepared, split)]
        for index, label in zip(indices, found, strict=True):
            check_label(label, prepared.classes, _record(prepared, split, index))
        return np.array(found, np.int32)

    return Examples((len(source), *shape), images, labels)


def _read(source: Any, indices: Sequence[int], prepared: Prepared, split: str) -> Sequence[dict]:
    indices = list(indices)
    try:
        return source.__getitems__(indices)
    except Exception:
        for index in indices:  # find the record that cannot be read
            try:
                source[index]
            except Exception as error:
                raise _corrupt(prepared, split, index, error) from error
        raise


def _unreadable(name: str, error: OSError) -> UsageError:
    return UsageError(
        f"dataset {name!r} cannot be read ({error.strerror}: {error.filename}): make it readable"
    )


def _record(prepared: Prepared, split: str, index: int) -> str:
    return f"record {index} of {prepared.name!r}, split {split!r}, in {prepared.folder}"


def _corrupt(prepared: Prepared, split: str, index: int, error: Exception) -> UsageError:
    return UsageError(
        f"{_record(prepared, split, index)} is corrupt ({_first_line(error)}): delete the folder "
        "and prepare the dataset again"
    )


@functools.cache
def _known() -> list[str]:
    return tfds.list_builders(with_community_datasets=False)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
