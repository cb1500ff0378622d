"""Selecting leaves of a tree by ordered patterns over their paths.

One mechanism serves whatever treats parameters differently: which are frozen, which decay, which
learn at another rate, which are sharded. A path is a leaf's keys joined by slashes, `head/kernel`;
a pattern is a regular expression that must match the whole path; the first that matches wins.
"""

import re
from collections.abc import Sequence
from typing import TypeVar

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


def match(tree: Tree, rules: Rules[T], *, strict: bool = True) -> Tree:
    """A tree of the same structure with, at each leaf, the value of the first matching rule.

    >>> match({"head": {"kernel": 0, "bias": 0}}, [(".*/bias", "no"), (".*", "yes")])
    {'head': {'bias': 'no', 'kernel': 'yes'}}

    Args:
        tree: whose leaves are named.
        rules: patterns in order, with their values.
        strict: whether a pattern other than `.*` has to match some path.

    Raises:
        UsageError: a path that no pattern matches, or a pattern that is needed and matches no
            path: both are mistakes that would otherwise train something else than was meant.
    """
    names = path_names(tree)
    for pattern, _ in rules:
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
        f"path {name!r} is matched by none of the patterns {patterns}; add one for it, or a last "
        "rule with '.*'"
    )
