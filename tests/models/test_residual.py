"""Residual blocks: the sum, the paths of their parameters, and what is refused."""

import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.errors import UsageError
from dl_jax.functional import batch_norm, conv2d, relu, zeros
from dl_jax.models import Model, chain, conv, linear, norm, residual
from dl_jax.paths import path_names
from tests.models.randomized import randomized

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


@pytest.mark.parametrize("train", [False, True])
def test_equals_the_same_written_by_hand(train):
    def block(params, state, x, stride):
        new = {}

        def normalized(x, name, params, state, new):
            x, new[name] = batch_norm(x, **params[name], **state[name], train=train)
            return x

        y = conv2d(x, **params["conv1"], stride=stride)
        y = relu(normalized(y, "norm1", params, state, new))
        y = normalized(conv2d(y, **params["conv2"]), "norm2", params, state, new)
        if "shortcut" in params:
            x, new["shortcut"] = conv2d(x, **params["shortcut"]["conv"], stride=stride), {}
            own = params["shortcut"], state["shortcut"], new["shortcut"]
            x = normalized(x, "norm", *own)
        return y + x, new

    def by_hand(params, state, x):
        x, first = block(params["layer1_0"], state["layer1_0"], x, 1)
        x, second = block(params["layer2_0"], state["layer2_0"], x, 2)
        return x, {"layer1_0": first, "layer2_0": second}

    params, state = randomized(jax.eval_shape(network().init, KEY))

    def gradients(apply):
        def loss(params, x):
            output, new = apply(params, state, x)
            return (output * jnp.sin(jnp.arange(81.0)).reshape(3, 3, 3, 3)).sum(), (output, new)

        return jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(params, IMAGES)

    actual = gradients(lambda *arguments: network().apply(*arguments, train=train))
    chex.assert_trees_all_close(actual, gradients(by_hand), rtol=1e-4, atol=1e-4)


def test_a_last_scale_of_zero_starts_as_the_shortcut():
    model = residual(branch(scale_init=zeros))
    params, state = model.init(KEY)
    np.testing.assert_array_equal(model.apply(params, state, IMAGES, train=True)[0], IMAGES)
    params, state = residual(branch()).init(KEY)
    assert not np.allclose(model.apply(params, state, IMAGES, train=True)[0], IMAGES)


def test_the_branch_has_the_keys_that_it_has_alone():
    params, _ = residual(branch(2, 3), conv(2, 3, 1, stride=2)).init(KEY)
    alone, _ = branch(2, 3).init(KEY)
    chex.assert_trees_all_equal({name: params[name] for name in alone}, alone)


@pytest.mark.parametrize("units", [1, 3])
def test_shapes_that_do_not_add_up_are_refused(units):
    model = residual(chain({"dense1": linear(4, units)}))
    said = f"the branch of a residual gives shape (2, {units}) and its shortcut (2, 4)"
    with pytest.raises(UsageError, match=re.escape(said)):
        model.apply(model.init(KEY)[0], {}, jnp.ones((2, 4)), train=False)


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
