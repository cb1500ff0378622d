"""Image classification datasets by name."""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dl_jax.data.cache import Allocate, cached
from dl_jax.data.images.digits import digits
from dl_jax.data.images.folder_source import find_folder, looks_like_folder
from dl_jax.data.images.image_dataset import ImageDataset
from dl_jax.data.images.shapes import shapes
from dl_jax.data.images.source import (
    DECODING,
    EncodedImages,
    ImageSize,
    Source,
    check_image_size,
)
from dl_jax.data.splits import SPLITS, held_out, split_indices, stored_splits
from dl_jax.errors import UsageError, check_choice, check_integer, check_range

PathLike = str | os.PathLike[str]
EMBEDDED = {"digits": digits, "shapes": shapes}
"""What comes with the installation: `f(image_size)` gives all examples."""
CHUNK = 64
"""Images that are decoded at once."""


def load(
    name: str,
    split: str,
    data_dir: PathLike | None = None,
    *,
    validation_fraction: float = 1 / 12,
    split_seed: int = 0,
    image_size: ImageSize | None = None,
    cache_dir: PathLike | None = None,
    decode_ahead: bool = False,
) -> ImageDataset:
    """One split of an image classification dataset.

    The splits are disjoint and depend on `split_seed` alone. A dataset that comes with a
    validation split keeps it; otherwise `validation_fraction` of the training examples, drawn at
    random, are held out. The test split is the dataset's own; if there is none, as in `digits` and
    `shapes`, a fifth of the training examples are held out for it first. If the labels of the test
    split are withheld (all -1, as ImageNet's), it cannot be used: the validation split takes its
    place, with a warning, and validation examples are held out from the training examples.

    Args:
        name: `digits` (gray) or `shapes` (in color), which come with the installation; a TFDS name
            such as `mnist`; or a folder with a folder of images for each class,
            `FOLDER/CLASS/*.png`, or, divided already, `FOLDER/train/CLASS/*.png` and
            `FOLDER/test/CLASS/*.png`. A folder that has the name of a dataset is written with its
            path, as in `./mnist`.
        split: `train`, `validation` or `test`.
        data_dir: folder of prepared TFDS datasets; `$TFDS_DATA_DIR` if None.
        validation_fraction: share of the training examples held out, in (0, 1).
        split_seed: chooses which are held out.
        image_size: height and width; needed if the images differ in size. They are scaled until
            they cover it, and cropped to their middle.
        cache_dir: where decoded examples are kept; the user's cache folder if None.
        decode_ahead: keep the labels alone there, and decode images whenever they are needed, by
            threads ahead of the training step: for sets that are too large for the disk.

    Raises:
        UsageError: the dataset or split is unknown, not prepared, or cannot be read; or a label is
            not that of a class.
        RunError: the disk of the cache is full.
    """
    check_choice("split", split, SPLITS)
    return _load(
        name, (split,), data_dir, validation_fraction, split_seed, image_size, cache_dir,
        decode_ahead,
    )[split]  # fmt: skip


def load_splits(
    name: str,
    data_dir: PathLike | None = None,
    *,
    validation_fraction: float = 1 / 12,
    split_seed: int = 0,
    image_size: ImageSize | None = None,
    cache_dir: PathLike | None = None,
    decode_ahead: bool = False,
) -> dict[str, ImageDataset]:
    """All three splits of a dataset, by their names; the arguments are those of `load`."""
    return _load(
        name, SPLITS, data_dir, validation_fraction, split_seed, image_size, cache_dir, decode_ahead
    )


def _load(
    name: str,
    splits: Sequence[str],
    data_dir: PathLike | None,
    fraction: float,
    seed: int,
    image_size: ImageSize | None,
    cache_dir: PathLike | None,
    decode_ahead: bool,
) -> dict[str, ImageDataset]:
    check_range(
        "validation_fraction", fraction, low=0, high=1, exclusive_low=True, exclusive_high=True
    )
    check_integer("split_seed", seed, low=0, high=None)
    check_image_size(image_size)
    if name in EMBEDDED:
        everything = EMBEDDED[name](image_size)
        indices = split_indices(len(everything), ("validation", "test"), fraction, seed)
        return {split: everything.subset(indices[split], split) for split in splits}
    source = _find(name, data_dir)
    stored = stored_splits(source.name, source.splits, source.hidden)
    root = None if cache_dir is None else Path(cache_dir)
    kept = {stored[split] for split in splits}
    read = {split: _read(source, split, image_size, root, decode_ahead) for split in kept}
    missing = held_out(stored)
    found = {}
    for split in splits:
        dataset = ImageDataset(name, split, read[stored[split]], source.classes)
        if stored[split] == "train" and missing:
            indices = split_indices(len(dataset), missing, fraction, seed)
            dataset = dataset.subset(indices[split], split)
        found[split] = dataset
    return found


def _find(name: str, data_dir: PathLike | None) -> Source:
    if not name:
        raise UsageError("dataset is '', expected a name such as 'mnist', or a folder of images")
    if looks_like_folder(name):
        return find_folder(name)
    # Half a second that `digits` need not wait for.
    from dl_jax.data import tfds_records
    from dl_jax.data.images import tfds_source

    if os.path.isdir(name) and not tfds_records.is_known(name, data_dir):
        return find_folder(name)
    return tfds_source.find(name, data_dir)


def _read(
    source: Source, split: str, image_size: ImageSize | None, root: Path | None, ahead: bool
) -> Mapping[str, NDArray | EncodedImages]:
    """Images and labels of a stored split: from the cache, or the images encoded as they are."""
    if not source.splits[split]:
        raise UsageError(f"split {split!r} of {source.name!r} holds no examples")
    key = {
        "name": f"{source.name}-{split}",
        "examples": source.splits[split],
        "split": split,
        "image_size": image_size,
        "decoding": DECODING,
        "fingerprint": source.fingerprint,
    }
    if not ahead:
        return cached(key, partial(_decode, source, split, image_size), root)
    key = {**key, "name": f"{key['name']}-labels", "image_size": None}
    labels = cached(key, partial(_decode, source, split, image_size, labels_only=True), root)
    return {"image": EncodedImages(source.open(split, image_size)), **labels}


def _decode(
    source: Source,
    split: str,
    image_size: ImageSize | None,
    allocate: Allocate,
    *,
    labels_only: bool = False,
) -> None:
    """Fill the arrays of a stored split."""
    examples = source.open(split, image_size)
    count = examples.shape[0]
    labels = allocate("label", (count,), np.int32)
    images = None if labels_only else allocate("image", examples.shape, np.uint8)
    for start in range(0, count, CHUNK):
        chunk = range(start, min(start + CHUNK, count))
        labels[start : chunk.stop] = examples.labels(chunk)
        if images is not None:
            images[start : chunk.stop] = examples.images(chunk)
