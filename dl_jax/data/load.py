"""Datasets by name."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dl_jax.data.cache import cached
from dl_jax.data.dataset import Dataset
from dl_jax.data.digits import digits
from dl_jax.errors import UsageError, check_choice, check_range

SPLITS = ("train", "validation", "test")


def load(
    name: str,
    split: str,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    validation_fraction: float = 1 / 12,
    split_seed: int = 0,
    image_size: tuple[int, int] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Dataset:
    """One split of an image classification dataset.

    The splits are disjoint and depend on `split_seed` alone. A dataset that comes with a
    validation split keeps it; otherwise `validation_fraction` of the training examples, drawn at
    random, are held out. The test split is the dataset's own (of `digits`, which has none, a
    fifth of the examples).

    Args:
        name: `digits`, which comes with the installation, or a TFDS name such as `mnist`.
        split: `train`, `validation` or `test`.
        data_dir: folder of prepared TFDS datasets; `$TFDS_DATA_DIR` where None.
        validation_fraction: share of the training examples held out, in (0, 1).
        split_seed: chooses which are held out.
        image_size: height and width to scale to; needed where a dataset's images differ in size.
        cache_dir: where decoded examples are kept; the user's cache folder where None.

    Raises:
        UsageError: the dataset or split is unknown, not prepared, or cannot be read.
    """
    check_choice("split", split, SPLITS)
    check_range(
        "validation_fraction", validation_fraction,
        low=0, high=1, exclusive_low=True, exclusive_high=True,
    )  # fmt: skip
    if name == "digits":
        everything = digits()
        rest, test = _divide(len(everything), 1 / 5, split_seed)
        train, validation = _divide(len(rest), validation_fraction, split_seed)
        indices = {"train": rest[train], "validation": rest[validation], "test": test}[split]
        return everything.subset(indices, split)

    from dl_jax.data import tfds_source  # half a second that `digits` need not wait for

    prepared = tfds_source.find(name, data_dir)
    if image_size is None and None in prepared.image_shape:
        raise UsageError(
            f"images of {name!r} differ in size: say with image_size what to scale them to"
        )
    held_out = "validation" not in prepared.splits and split != "test"
    stored = "train" if held_out else split
    if stored not in prepared.splits:
        raise UsageError(
            f"dataset {name!r} has no split {stored!r}, only {', '.join(prepared.splits)}"
        )
    size = "" if image_size is None else f"-{image_size[0]}x{image_size[1]}"
    key = f"{name.replace('/', '-')}-{stored}{size}-{prepared.fingerprint}"
    arrays = cached(
        key,
        lambda: tfds_source.decode(prepared, stored, image_size),
        None if cache_dir is None else Path(cache_dir),
    )
    dataset = Dataset(name, split, arrays, prepared.classes)
    if not held_out:
        return dataset
    train, validation = _divide(len(dataset), validation_fraction, split_seed)
    return dataset.subset(train if split == "train" else validation)


def load_splits(
    name: str, data_dir: str | os.PathLike[str] | None = None, **options
) -> dict[str, Dataset]:
    """All three splits of a dataset, by their names; the options are those of `load`."""
    return {split: load(name, split, data_dir, **options) for split in SPLITS}


def _divide(count: int, fraction: float, seed: int) -> tuple[NDArray, NDArray]:
    """Indices of what stays and of the share held out, both in ascending order."""
    held_out = round(count * fraction)
    if not 0 < held_out < count:
        raise UsageError(
            f"holding out {fraction:.3g} of {count} examples leaves one side empty: choose another "
            "validation_fraction"
        )
    shuffled = np.random.default_rng(seed).permutation(count)
    return np.sort(shuffled[held_out:]), np.sort(shuffled[:held_out])
