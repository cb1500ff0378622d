"""Datasets by name."""

import os
from pathlib import Path

from dl_jax.data.cache import cached
from dl_jax.data.images.digits import digits
from dl_jax.data.images.image_dataset import ImageDataset
from dl_jax.data.splits import SPLITS, split_indices
from dl_jax.errors import UsageError, check_choice, check_range


def load(
    name: str,
    split: str,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    validation_fraction: float = 1 / 12,
    split_seed: int = 0,
    image_size: tuple[int, int] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
) -> ImageDataset:
    """One split of an image classification dataset.

    The splits are disjoint and depend on `split_seed` alone. A dataset that comes with a
    validation split keeps it; otherwise `validation_fraction` of the training examples, drawn at
    random, are held out. The test split is the dataset's own; of one that has none, such as
    `digits`, a fifth of the training examples are held out for it first.

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
        return _held_out(digits(), split, ("validation", "test"), validation_fraction, split_seed)

    from dl_jax.data.images import tfds_source  # half a second that `digits` need not wait for

    prepared = tfds_source.find(name, data_dir)
    if image_size is None and None in prepared.image_shape:
        raise UsageError(
            f"images of {name!r} differ in size: say with image_size (--image-size HEIGHT WIDTH) "
            "what to scale them to"
        )
    missing = tuple(split for split in ("validation", "test") if split not in prepared.splits)
    stored = "train" if split in missing else split
    if stored not in prepared.splits:
        raise UsageError(
            f"dataset {name!r} has no split {stored!r}, only {', '.join(prepared.splits)}"
        )
    size = "" if image_size is None else f"-{image_size[0]}x{image_size[1]}"
    key = f"{name.replace('/', '-')}-{stored}{size}-{prepared.fingerprint}"
    arrays = cached(
        key,
        lambda allocate: tfds_source.decode(prepared, stored, allocate, image_size),
        None if cache_dir is None else Path(cache_dir),
    )
    dataset = ImageDataset(name, split, arrays, prepared.classes)
    if stored != "train":
        return dataset
    return _held_out(dataset, split, missing, validation_fraction, split_seed)


def load_splits(
    name: str, data_dir: str | os.PathLike[str] | None = None, **options
) -> dict[str, ImageDataset]:
    """All three splits of a dataset, by their names; the options are those of `load`."""
    return {split: load(name, split, data_dir, **options) for split in SPLITS}


def _held_out(
    everything: ImageDataset, split: str, missing: tuple[str, ...], fraction: float, seed: int
) -> ImageDataset:
    """One split of examples from which those of the `missing` splits are held out."""
    if not missing:
        return everything
    return everything.subset(split_indices(len(everything), missing, fraction, seed)[split], split)
