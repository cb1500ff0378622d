"""Patterns over paths: the one mechanism behind freezing, decay, learning rates and sharding."""

import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest

from dl_jax.errors import UsageError
from dl_jax.paths import match, path_names

TREE = {
    "embed": {"embedding": 1},
    "blocks": [{"kernel": 2, "bias": 3}, {"kernel": 4, "bias": 5}],
    "head": {"kernel": 6, "bias": 7},
}


class Moments(NamedTuple):
    mu: dict
    nu: dict


def test_names_stand_in_the_order_of_the_leaves():
    names = path_names(TREE)
    assert dict(zip(names, jax.tree.leaves(TREE), strict=True)) == {
        "embed/embedding": 1,
        "blocks/0/kernel": 2,
        "blocks/0/bias": 3,
        "blocks/1/kernel": 4,
        "blocks/1/bias": 5,
        "head/kernel": 6,
        "head/bias": 7,
    }


def test_names_of_attributes_and_of_nothing():
    assert path_names(Moments({"a": 0}, {"a": 0})) == ["mu/a", "nu/a"]
    assert path_names({}) == []
    assert path_names({0: {"kernel": 1}}) == ["0/kernel"]


def test_first_match_wins():
    rules = [("head/kernel", "first"), ("head/.*", "second"), (".*", "last")]
    matched = match(TREE, rules)
    assert matched["head"] == {"kernel": "first", "bias": "second"}
    assert matched["blocks"][1] == {"kernel": "last", "bias": "last"}
    reversed_rules = [("head/.*", "second"), ("head/kernel", "first"), (".*", "last")]
    assert match(TREE, reversed_rules)["head"] == {"kernel": "second", "bias": "second"}


def test_pattern_must_match_the_whole_path():
    tree = {"kernel": 0, "big_kernel": 0, "kernel_scale": 0}
    matched = match(tree, [("kernel", True), (".*", False)])
    assert matched == {"kernel": True, "big_kernel": False, "kernel_scale": False}


def test_structure_is_kept_and_leaves_may_be_arrays():
    tree = Moments({"a": jnp.ones(2)}, {"a": jnp.ones(3)})
    assert match(tree, [("mu/.*", "m"), (".*", "n")]) == Moments({"a": "m"}, {"a": "n"})


def test_values_may_be_none_or_tuples():
    assert match({"a": 0, "b": 0}, [("a", (1, 2)), ("b", None)]) == {"a": (1, 2), "b": None}


def test_unmatched_path_is_named():
    with pytest.raises(UsageError, match=re.escape("path 'blocks/0/bias'")) as caught:
        match(TREE, [(".*/kernel", 0), ("embed/.*", 0)])
    assert "'.*/kernel', 'embed/.*'" in str(caught.value)


def test_unmatched_pattern_is_named_with_the_nearest_path():
    with pytest.raises(UsageError, match="pattern 'head/kernal' matches no path") as caught:
        match(TREE, [("head/kernal", 0), (".*", 0)])
    assert "did you mean 'head/kernel'?" in str(caught.value)


def test_invalid_regular_expression_is_named():
    with pytest.raises(UsageError, match=re.escape("pattern '(' is not a regular expression")):
        match(TREE, [("(", 0), (".*", 1)])


def test_a_pattern_may_match_nothing_if_not_strict():
    assert match({"a": 0}, [("b", 1), (".*", 2)], strict=False) == {"a": 2}


def test_catch_all_may_match_nothing_more():
    assert match({"a": 0}, [("a", 1), (".*", 2)]) == {"a": 1}
    assert match({}, [(".*", 2)]) == {}


def test_shadowed_pattern_is_not_an_error():
    """A pattern that matches a path, though another took it first, is no typing mistake."""
    assert match({"a": 0, "b": 0}, [(".*", 1), ("b", 2)]) == {"a": 1, "b": 1}
