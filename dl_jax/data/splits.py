"""Disjoint splits: which are stored, and which are held out from the training examples."""

import warnings
from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from dl_jax.errors import UsageError

SPLITS = ("train", "validation", "test")
"""Names of the splits. The order matters: toy problems draw each from its own seed."""


def stored_splits(name: str, splits: Mapping[str, int], hidden: Collection[str]) -> dict[str, str]:
    """Which stored split each of `SPLITS` is, or is held out from.

    A split that is not stored is held out from `train`. If the labels of `test` are withheld,
    `validation` takes its place, with a warning.

    Args:
        name: of the dataset.
        splits: name of each stored split to its number of examples.
        hidden: stored splits whose labels are withheld.

    Raises:
        UsageError: there is no labeled split `train`.
    """
    usable = set(splits) - set(hidden)
    if "train" not in usable:
        raise UsageError(
            f"dataset {name!r} has no labeled split 'train', only "
            f"{', '.join(sorted(usable)) or 'none'}"
        )
    stored = {split: split if split in usable else "train" for split in SPLITS}
    if "test" in hidden:
        place = "training examples held out are"
        if stored["validation"] == "validation":
            stored |= {"test": "validation", "validation": "train"}
            place = "the validation split is"
        warnings.warn(
            f"the test labels of {name!r} are withheld (-1): {place} used for the test, "
            "and validation examples are held out from the training examples",
            stacklevel=5,
        )
    return stored


def held_out(stored: Mapping[str, str]) -> tuple[str, ...]:
    """The splits that are held out from the training examples."""
    return tuple(split for split in ("validation", "test") if stored[split] == "train")


def split_indices(
    count: int, missing: tuple[str, ...], fraction: float, seed: int
) -> dict[str, NDArray]:
    """Indices of the training examples and of those held out for the `missing` splits.

    A fifth of `count` examples is held out for `test`, and `fraction` of the rest for
    `validation`.

    Raises:
        UsageError: a split would be empty.
    """
    indices = {"train": np.arange(count)}
    if "test" in missing:
        kept, test = _divide(count, 1 / 5, seed)
        indices |= {"train": kept, "test": test}
    if "validation" in missing:
        kept, chosen = _divide(len(indices["train"]), fraction, seed)
        indices |= {"validation": indices["train"][chosen], "train": indices["train"][kept]}
    return indices


def _divide(count: int, fraction: float, seed: int) -> tuple[NDArray, NDArray]:
    """Indices of the examples kept and of those held out, in ascending order."""
    held = round(count * fraction)
    if not 0 < held < count:
        raise UsageError(
            f"holding out {fraction:.3g} of {count} examples leaves one side empty: choose another "
            "validation_fraction"
        )
    shuffled = np.random.default_rng(seed).permutation(count)
    return np.sort(shuffled[held:]), np.sort(shuffled[:held])
