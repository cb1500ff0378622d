"""Chains: paths, keys and scopes of their layers."""

from functools import partial
from zlib import crc32

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.functional import relu
from dl_jax.models import (
    Model,
    chain,
    conv,
    drop,
    features,
    flatten,
    from_function,
    linear,
    norm,
)

KEY = jax.random.key(7)


def named(key, name):
    return jax.random.fold_in(key, crc32(name.encode()))


def test_parameters_and_state_are_nested_dicts_of_what_has_any():
    model = chain(
        {
            "conv1": conv(2, 4),
            "norm1": norm(4),
            "flatten": flatten,
            "drop1": drop(0.4),
            "top": chain({"dense": linear(16, 5, bias=False), "norm": norm(5), "tanh": jnp.tanh}),
            "head": linear(5, 3),
        }
    )
    params, state = jax.eval_shape(model.init, KEY)
    assert jax.tree.map(jnp.shape, params) == {
        "conv1": {"kernel": (3, 3, 2, 4), "bias": (4,)},
        "norm1": {"scale": (4,), "bias": (4,)},
        "top": {"dense": {"kernel": (16, 5)}, "norm": {"scale": (5,), "bias": (5,)}},
        "head": {"kernel": (5, 3), "bias": (3,)},
    }
    statistics = {
        "norm1": {"mean": (4,), "var": (4,)},
        "top": {"norm": {"mean": (5,), "var": (5,)}},
    }
    assert jax.tree.map(jnp.shape, state) == statistics
    images = jax.ShapeDtypeStruct((6, 2, 2, 2), jnp.float32)
    for train in (False, True):
        apply = partial(model.apply, train=train, key=KEY)
        _, after = jax.eval_shape(apply, params, state, images)
        assert jax.tree.map(jnp.shape, after) == statistics


def test_initial_values_of_a_layer_depend_on_its_name_alone():
    first = chain({"a": linear(4, 4), "b": linear(4, 4)}).init(KEY)[0]
    layers = {"new": linear(4, 4), "b": linear(4, 4), "relu": relu, "a": linear(4, 4)}
    second = chain(layers).init(KEY)[0]
    chex.assert_trees_all_equal(first, {name: second[name] for name in first})
    kernels = [np.asarray(layer["kernel"]) for layer in second.values()]
    assert not any(np.array_equal(kernels[i], kernels[j]) for i in range(3) for j in range(i))
    expected = linear(4, 4).init(named(KEY, "a"))[0]
    chex.assert_trees_all_equal(first["a"], expected)


def test_draws_of_a_layer_depend_on_its_name_alone():
    ones = jnp.ones((8, 8))
    alone = chain({"drop1": drop(0.5)}).apply({}, {}, ones, train=True, key=KEY)[0]
    layers = {"drop2": drop(0.5), "fill": jnp.ones_like, "drop1": drop(0.5)}
    after = features(chain(layers), ["drop1", "drop2"])
    found = after.apply({}, {}, ones, train=True, key=KEY)[0]
    np.testing.assert_array_equal(found["drop1"], alone)
    assert not np.array_equal(found["drop2"], alone)


def test_layers_have_scopes_of_their_names():
    model = chain({"block": chain({"dense1": linear(4, 3)}), "relu1": relu})
    params, _ = model.init(KEY)
    apply = jax.jit(lambda params, x: model.apply(params, {}, x, train=False)[0])
    text = apply.lower(params, jnp.ones((2, 4))).as_text(debug_info=True)
    assert "block/dense1/" in text
    assert "/relu1/" in text


def test_later_changes_of_the_dict_change_nothing():
    layers = {"double": from_function(lambda x: 2 * x)}
    model = chain(layers)
    layers["more"] = from_function(lambda x: x + 1)
    assert model.apply({}, {}, 3.0, train=False)[0] == 6
    with pytest.raises(TypeError):
        model.layers["more"] = model.layers["double"]


def test_a_model_has_no_layers_and_no_stepper_unless_given():
    model = Model(lambda key: ({}, {}), lambda *_, **__: (None, {}))
    assert (dict(model.layers), model.stepper) == ({}, None)
    with pytest.raises(TypeError):
        model.layers["a"] = model
