"""Chains: what is refused, and errors that name their layer."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import pytest

from dl_jax.errors import UsageError
from dl_jax.models import chain, conv, drop, features, linear, residual

KEY = jax.random.key(7)


def refusing(x):
    raise UsageError("no thanks")


def failing(x):
    raise ZeroDivisionError("by zero")


def without_initial(key, shape):
    raise UsageError("no values")


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ({"a": jnp.tanh, "b": refusing}, "layer b: no thanks"),
        ({"a": chain({"b": chain({"c": refusing})})}, "layer a/b/c: no thanks"),
        ({"a": residual(chain({"b": refusing}))}, "layer a/b: no thanks"),
        ({"a": residual(chain({"b": jnp.tanh}), refusing)}, "layer a/shortcut: no thanks"),
        (
            {"a": chain({"conv": conv(4, 2)})},
            "layer a/conv: conv2d: x is float32[2,4], expected "
            "float[batch height width in_channels]",
        ),
        ({"a": residual(chain({"b": linear(4, 1)}))}, "layer a: the branch of a residual gives"),
    ],
)
def test_errors_name_the_layer(layers, said):
    model = chain(layers)
    with pytest.raises(UsageError, match=f"^{re.escape(said)}"):
        jax.eval_shape(lambda: model.apply(model.init(KEY)[0], {}, jnp.ones((2, 4)), train=True))


def test_errors_of_initial_values_name_the_layer():
    model = chain({"a": chain({"b": linear(4, 2, kernel_init=without_initial)})})
    with pytest.raises(UsageError, match="^layer a/b: no values$"):
        model.init(KEY)


def test_errors_through_features_name_the_layer():
    model = chain({"a": chain({"b": jnp.tanh, "c": refusing})})
    with pytest.raises(UsageError, match="^layer a/c: no thanks$"):
        features(model, ["a/b"]).apply({}, {}, jnp.ones(2), train=False)


@pytest.mark.parametrize("compiled", [False, True])
def test_other_errors_have_the_layer_in_a_note(compiled):
    model = chain({"a": chain({"b": chain({"c": failing})})})
    apply = partial(model.apply, {}, {}, train=False)
    with pytest.raises(ZeroDivisionError, match="by zero") as raised:
        (jax.jit(apply) if compiled else apply)(jnp.ones(2))
    assert [note for note in raised.value.__notes__ if "layer" in note] == ["in layer a/b/c"]


def test_a_missing_key_is_an_error_that_names_the_layer():
    model = chain({"a": chain({"drop1": drop(0.5)})})
    with pytest.raises(ValueError, match="apply needs `key=`") as raised:
        jax.eval_shape(lambda: model.apply({}, {}, jnp.ones(2), train=True))
    assert "in layer a/drop1" in raised.value.__notes__


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ({}, "a chain has no layers: give it a dict"),
        ([("a", jnp.tanh)], "a chain has no layers: give it a dict"),
        ({"a/b": jnp.tanh}, "a layer is called 'a/b', expected a name without slashes"),
        ({"": jnp.tanh}, "a layer is called '', expected"),
        ({1: jnp.tanh}, "a layer is called 1, expected"),
        ({"a": 3}, "layer 'a' is 3, expected a model or a function"),
        ({"a": jnp.tanh, "shortcut": jnp.tanh}, "a layer of a chain is called 'shortcut'"),
        (
            {"plumless": jnp.tanh, "buckeroo": jnp.tanh},
            "layers 'plumless' and 'buckeroo' would have the same random key",
        ),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_what_is_no_chain_is_refused(layers, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        chain(layers)
