"""Trees of arrays: their leaves by path, replicas of them, and comparisons."""

from collections.abc import Iterable
from typing import Any

import chex
import jax
import numpy as np

from dl_jax.paths import path_names


def replica(tree: Any, index: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[index], tree)


def leaves(tree: Any) -> Iterable[tuple[str, np.ndarray]]:
    """Leaves and their paths."""
    return zip(path_names(tree), jax.tree.leaves(tree), strict=True)


def layout(tree: Any) -> Any:
    """All that decides whether a program is compiled again."""
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype, leaf.weak_type), tree)


def close(actual: Any, expected: Any, tolerance: float = 1e-4) -> None:
    """Trees are equal, up to a part of the largest element of each leaf."""
    chex.assert_trees_all_equal_shapes_and_dtypes(actual, expected)
    for (name, a), (_, b) in zip(leaves(actual), leaves(expected), strict=True):
        np.testing.assert_allclose(
            a, b, atol=tolerance * np.abs(b).max(initial=1e-3), rtol=0, err_msg=name
        )


def alike(a: Any, b: Any, tolerance: float = 1e-4) -> bool:
    """Whether trees are close."""
    try:
        close(a, b, tolerance)
    except AssertionError:
        return False
    return True
