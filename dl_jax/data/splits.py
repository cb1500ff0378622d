"""Disjoint splits of one set of examples, drawn by a seed."""

import numpy as np
from numpy.typing import NDArray

from dl_jax.errors import UsageError

SPLITS = ("train", "validation", "test")
"""Names of the splits. The order matters: toy problems draw each from its own seed."""


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
