"""Residual blocks: the sum, the paths of their parameters, and what is refused."""

import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.errors import UsageError
from dl_jax.functional import relu, zeros
from dl_jax.models import Model, chain, conv, linear, norm, residual
from dl_jax.paths import path_names

KEY = jax.random.key(7)
IMAGES = jnp.asarray(np.random.default_rng(0).normal(1, 2, (3, 6, 6, 2)), jnp.float32)


def branch(stride=1, filters=2, **last):
    return chain(
        {
            "conv1": conv(2, 4, stride=stride, bias=False),
            "norm1": norm(4),
            "relu1": relu,
            "conv2": conv(4, filters, bias=False),
            "norm2": norm(filters, **last),
        }
    )


def network():
    down = chain({"conv": conv(2, 3, 1, stride=2, bias=False), "norm": norm(3)})
    return chain({"layer1_0": residual(branch()), "layer2_0": residual(branch(2, 3), down)})


def test_paths_of_parameters_and_state():
    params, state = jax.eval_shape(network().init, KEY)
    norms = [f"norm{i}/{name}" for i in (1, 2) for name in ("bias", "scale")]
    inside = ["conv1/kernel", "conv2/kernel", *norms]
    shortcut = ["shortcut/conv/kernel", "shortcut/norm/bias", "shortcut/norm/scale"]
    assert path_names(params) == [
        *(f"layer1_0/{name}" for name in inside),
        *(f"layer2_0/{name}" for name in [*inside, *shortcut]),
    ]
    statistics = [f"norm{i}/{name}" for i in (1, 2) for name in ("mean", "var")]
    assert path_names(state) == [
        *(f"layer1_0/{name}" for name in statistics),
        *(f"layer2_0/{name}" for name in statistics),
        "layer2_0/shortcut/norm/mean",
        "layer2_0/shortcut/norm/var",
    ]


def test_a_last_scale_of_zero_starts_as_the_shortcut():
    model = residual(branch(scale_init=zeros))
    apply = jax.jit(lambda *weights: model.apply(*weights, IMAGES, train=True)[0])
    np.testing.assert_array_equal(apply(*jax.jit(model.init)(KEY)), IMAGES)
    assert not np.allclose(apply(*jax.jit(residual(branch()).init)(KEY)), IMAGES)


def test_the_branch_has_the_keys_that_it_has_alone():
    params, _ = jax.jit(residual(branch(2, 3), conv(2, 3, 1, stride=2)).init)(KEY)
    alone, _ = jax.jit(branch(2, 3).init)(KEY)
    chex.assert_trees_all_equal({name: params[name] for name in alone}, alone)


@pytest.mark.parametrize("units", [1, 3])
def test_shapes_that_do_not_add_up_are_refused(units):
    model = residual(chain({"dense1": linear(4, units)}))
    said = f"the branch of a residual gives shape (2, {units}) and its shortcut (2, 4)"
    with pytest.raises(UsageError, match=re.escape(said)):
        jax.eval_shape(lambda: model.apply(model.init(KEY)[0], {}, jnp.ones((2, 4)), train=False))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: residual(linear(4, 4)), "the branch of a residual is no chain"),
        (lambda: residual(relu), "the branch of a residual is no chain"),
        (lambda: residual(residual(branch())), "has a layer 'shortcut' of its own"),
        (lambda: residual(branch(), 3), "layer 'shortcut' is 3, expected a model or a function"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_what_is_no_residual_is_refused(make, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        make()


def test_a_residual_within_the_branch_of_another():
    inner = residual(chain({"double": lambda x: 2 * x}))
    outer = residual(chain({"block": inner}), lambda x: 10 * x)
    assert isinstance(outer, Model)
    assert outer.apply({}, {}, jnp.float32(1), train=False)[0] == 13
