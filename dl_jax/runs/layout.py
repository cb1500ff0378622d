"""The layout of a tree: shape and type of every leaf, to be recorded and compared."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax

from dl_jax.paths import path_names
from dl_jax.types import Tree

Layout = Mapping[str, Any]


def layout(tree: Tree) -> dict[str, list[Any]]:
    """`[shape, type]` of every leaf under its path, as JSON has it.

    >>> layout({"head": {"bias": jax.ShapeDtypeStruct((10,), "float32")}})
    {'head/bias': [[10], 'float32']}
    """
    leaves = zip(path_names(tree), jax.tree.leaves(tree), strict=True)
    return {name: [list(leaf.shape), str(leaf.dtype)] for name, leaf in leaves}


def unlike(saved: Layout, expected: Layout) -> Iterator[str]:
    """Where two layouts differ: `head/bias is float32[10] there and absent here`."""
    for name in sorted(saved.keys() | expected.keys()):
        there, here = (_text(side.get(name)) for side in (saved, expected))
        if there != here:
            yield f"{name} is {there} there and {here} here"


def _text(leaf: list[Any] | None) -> str:
    return "absent" if leaf is None else f"{leaf[1]}{leaf[0]}"
