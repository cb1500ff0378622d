"""Selecting leaves of a tree by ordered patterns over their paths.

One mechanism for everything that treats parameters differently: which are frozen, which decay,
which have another learning rate, how they are sharded. A path is a leaf's keys joined by slashes,
`head/kernel`; a pattern is a regular expression that must match the whole path; the first match
wins.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import jax

from dl_jax.errors import UsageError, nearest
from dl_jax.types import Tree

T = TypeVar("T")
Rules = Sequence[tuple[str, T]]


def path_names(tree: Tree) -> list[str]:
    """Path of each leaf, in the order of `jax.tree.leaves`.

    >>> path_names({"head": {"kernel": 0, "bias": 0}})
    ['head/bias', 'head/kernel']
    """
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves]


def check_pattern(pattern: str) -> None:
    """Raise unless `pattern` is a regular expression.

    Raises:
        UsageError: says what is wrong with it.
    """
    try:
        re.compile(pattern)
    except re.error as error:
        raise UsageError(
            f"pattern {pattern!r} is not a regular expression: {error}; escape special characters, "
            "as in '\\('"
        ) from error


def match(tree: Tree, rules: Rules[T], *, strict: bool = True) -> Tree:
    """A tree of the same structure with, at each leaf, the value of the first matching rule.

    >>> match({"head": {"kernel": 0, "bias": 0}}, [(".*/bias", "no"), (".*", "yes")])
    {'head': {'bias': 'no', 'kernel': 'yes'}}

    Args:
        tree: its leaves' paths are matched.
        rules: patterns in order, with their values.
        strict: require every pattern except `.*` to match some path.

    Raises:
        UsageError: a path that no pattern matches, a pattern that matches no path if `strict`
            (both would silently train something else than was meant), or a pattern that is no
            regular expression.
    """
    names = path_names(tree)
    for pattern, _ in rules:
        check_pattern(pattern)
        if strict and pattern != ".*" and not any(re.fullmatch(pattern, name) for name in names):
            raise UsageError(
                f"pattern {pattern!r} matches no path{nearest(pattern, names)}; the paths are "
                f"{', '.join(names)}"
            )
    return jax.tree.unflatten(jax.tree.structure(tree), [_first(name, rules) for name in names])


def _first(name: str, rules: Rules[T]) -> T:
    for pattern, value in rules:
        if re.fullmatch(pattern, name):
            return value
    patterns = ", ".join(repr(pattern) for pattern, _ in rules)
    raise UsageError(
        f"path {name!r} matches none of the patterns {patterns}; add a pattern for it, or a last "
        "rule with '.*'"
    )


Layout = Mapping[str, Any]


def layout(tree: Tree) -> dict[str, list[Any]]:
    """`[shape, type]` of every leaf under its path, as JSON has it.

    >>> layout({"head": {"bias": jax.ShapeDtypeStruct((10,), "float32")}})
    {'head/bias': [[10], 'float32']}
    """
    leaves = zip(path_names(tree), jax.tree.leaves(tree), strict=True)
    return {name: [list(leaf.shape), str(leaf.dtype)] for name, leaf in leaves}


def unlike(saved: Layout, expected: Layout) -> Iterator[str]:
    """Where two layouts differ: `head/bias is float32[10] there and absent here`.

    Args:
        saved: what is there, or was given.
        expected: what is here, or is wanted.
    """
    for name in sorted(saved.keys() | expected.keys()):
        there, here = (_text(side.get(name)) for side in (saved, expected))
        if there != here:
            yield f"{name} is {there} there and {here} here"


def _text(leaf: list[Any] | None) -> str:
    return "absent" if leaf is None else f"{leaf[1]}{leaf[0]}"
