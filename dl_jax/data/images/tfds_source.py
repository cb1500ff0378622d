"""Image classification datasets prepared by TensorFlow Datasets, read without TensorFlow.

Only what lies on disk is opened: nothing is ever downloaded behind the user's back.
"""

import hashlib
import io
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from numpy.typing import DTypeLike, NDArray
from PIL import Image

from dl_jax.errors import UsageError, nearest

CHUNK = 1024


@dataclass(frozen=True)
class Prepared:
    """One dataset found on disk.

    Attributes:
        name: as TFDS writes it, `cifar10` or `glue/sst2`.
        folder: where its records and `dataset_info.json` lie.
        splits: names of its splits.
        classes: names of the labels.
        image: name of the feature that holds the images.
        label: name of the feature that holds the labels.
        image_shape: `(height, width, channels)`; None where images differ in that size. Channels
            are those that images are decoded to: 1, or 3.
        fingerprint: changes whenever the files do.
    """

    name: str
    folder: Path
    splits: tuple[str, ...]
    classes: tuple[str, ...]
    image: str
    label: str
    image_shape: tuple[int | None, ...]
    fingerprint: str


def data_directory(data_dir: str | os.PathLike[str] | None) -> Path:
    """`data_dir`, or `$TFDS_DATA_DIR`, or TFDS's default folder."""
    chosen = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return Path(chosen).expanduser()


def find(name: str, data_dir: str | os.PathLike[str] | None) -> Prepared:
    """The newest version of a dataset that lies prepared under `data_dir`.

    Raises:
        UsageError: the name is unknown, the folder is missing, the dataset is not in it, or it is
            not one of images with labels.
    """
    root = data_directory(data_dir)
    versions = sorted(_versions(root / name), key=_version_number)
    configs = [path.name for path in _folders(root / name) if _versions(path)]
    if not versions and configs:
        raise UsageError(
            f"dataset {name!r} is prepared in {root} in the configurations {', '.join(configs)}: "
            f"name one, as in '{name}/{configs[0]}'"
        )
    if not versions:
        _explain_absence(name, root)
    folder = versions[-1]
    try:
        builder = tfds.builder_from_directory(folder)
        info = builder.info
        splits = tuple(info.splits)
        features: Any = info.features
    except Exception as error:
        raise UsageError(
            f"dataset {name!r} in {folder} cannot be opened ({_first_line(error)}): "
            "prepare it again"
        ) from error
    found: dict[str, Any] = dict(features) if hasattr(features, "items") else {}
    keys: Any = info.supervised_keys or ()
    named = len(keys) == 2 and all(isinstance(key, str) for key in keys)
    image_name, label_name = keys if named else ("image", "label")
    image: Any = found.get(image_name)
    label: Any = found.get(label_name)
    kinds: Any = tfds.features
    if not (isinstance(image, kinds.Image) and isinstance(label, kinds.ClassLabel)):
        raise UsageError(
            f"dataset {name!r} is not one of images with labels: expected an image and a class "
            f"label, found {', '.join(found) or 'no features by name'}"
        )
    if np.dtype(image.np_dtype) != np.uint8:
        raise UsageError(f"images of {name!r} are {image.np_dtype}, expected bytes (uint8)")
    height, width, channels = image.shape
    return Prepared(
        name,
        folder,
        splits,
        tuple(label.names),
        image_name,
        label_name,
        (height, width, 1 if channels == 1 else 3),  # transparency is left out
        _fingerprint(folder),
    )


def decode(
    prepared: Prepared,
    split: str,
    allocate: Callable[[str, tuple[int, ...], DTypeLike], NDArray],
    image_size: tuple[int, int] | None = None,
) -> None:
    """Decode all images and labels of one split into arrays under these names.

    Args:
        prepared: as found by `find`.
        split: one of `prepared.splits`.
        allocate: `allocate(name, shape, dtype)` gives the array to be filled.
        image_size: height and width that every image is scaled to.

    Raises:
        UsageError: a record cannot be read or decoded.
    """
    builder: Any = tfds.builder_from_directory(prepared.folder)
    skip: Any = {prepared.image: tfds.decode.SkipDecoding()}
    try:
        source: Any = builder.as_data_source(split, decoders=skip)
    except Exception as error:
        raise UsageError(
            f"split {split!r} of {prepared.name!r} in {prepared.folder} cannot be opened "
            f"({_first_line(error)}): prepare it again with --file_format=array_record"
        ) from error
    size = image_size or prepared.image_shape[:2]
    shape: Any = (len(source), *size, prepared.image_shape[-1])
    images = allocate("image", shape, np.uint8)
    labels = allocate("label", (len(source),), np.int32)
    for start in range(0, len(source), CHUNK):
        chunk = range(start, min(start + CHUNK, len(source)))
        for index, record in zip(chunk, _read(source, chunk, prepared, split), strict=True):
            try:
                images[index] = _decode_image(record[prepared.image], images.shape[1:], image_size)
                labels[index] = record[prepared.label]
            except Exception as error:
                raise _corrupt(prepared, split, index, error) from error


def _read(source: Any, chunk: range, prepared: Prepared, split: str) -> Sequence[dict]:
    try:
        return source.__getitems__(list(chunk))
    except Exception:
        for index in chunk:  # find the record that is to blame
            try:
                source[index]
            except Exception as error:
                raise _corrupt(prepared, split, index, error) from error
        raise


def _decode_image(
    encoded: bytes, shape: tuple[int, ...], image_size: tuple[int, int] | None
) -> NDArray[np.uint8]:
    image = Image.open(io.BytesIO(encoded))
    image = image.convert("L" if shape[-1] == 1 else "RGB")
    if image_size is not None:
        image = image.resize((image_size[1], image_size[0]), Image.Resampling.BILINEAR)
    return np.asarray(image, np.uint8).reshape(shape)


def _corrupt(prepared: Prepared, split: str, index: int, error: Exception) -> UsageError:
    return UsageError(
        f"record {index} of {prepared.name!r}, split {split!r}, in {prepared.folder} is corrupt "
        f"({_first_line(error)}): delete the folder and prepare the dataset again"
    )


def _explain_absence(name: str, root: Path) -> None:
    known = tfds.list_builders(with_community_datasets=False)
    base = name.split("/")[0]
    on_disk = [path.name for path in _folders(root)]
    if base not in known and base not in on_disk:
        options = ["digits", *known, *on_disk]
        raise UsageError(
            f"dataset {name!r} is unknown, expected 'digits' or the TFDS name of an image "
            f"classification dataset such as 'mnist'{nearest(name, options)}"
        )
    advice = (
        f"prepare it with `pip install -e '.[prepare]'` and `tfds build {name} "
        f"--file_format=array_record --data_dir={root}`, or name the folder that holds it with "
        "--data-dir or TFDS_DATA_DIR"
    )
    if not root.is_dir():
        raise UsageError(f"dataset {name!r} cannot be read, there is no folder {root}: {advice}")
    raise UsageError(f"dataset {name!r} is not prepared in {root}: {advice}")


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _versions(folder: Path) -> list[Path]:
    return [path for path in _folders(folder) if (path / "dataset_info.json").is_file()]


def _version_number(folder: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", folder.name))


def _fingerprint(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        stat = path.stat()
        digest.update(f"{path.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
