"""A user's Flax network as a model of ours, against Flax itself."""

from functools import cache

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx

from dl_jax.functional import cross_entropy
from dl_jax.learners import over_seeds, supervised
from dl_jax.models import from_linen, from_nnx
from tests.models.check_model import Row, check_model

SHAPE, CLASSES = (4, 4, 2), 3
IMAGES = jnp.asarray(np.random.default_rng(0).normal(1, 2, (6, *SHAPE)), jnp.float32)
LABELS = jnp.asarray([0, 1, 2, 0, 1, 2])
KEY = jax.random.key(7)


class LinenNetwork(linen.Module):
    rate: float = 0.5

    @linen.compact
    def __call__(self, x, train):
        x = linen.Conv(4, (3, 3), use_bias=False)(x)
        x = linen.BatchNorm(use_running_average=not train)(x)
        x = linen.relu(x).reshape(x.shape[0], -1)
        x = linen.Dropout(self.rate, deterministic=not train)(x)
        return linen.Dense(CLASSES)(x)


class NnxNetwork(nnx.Module):
    def __init__(self, rate=0.5, *, rngs):
        self.conv = nnx.Conv(2, 4, (3, 3), use_bias=False, rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.dropout = nnx.Dropout(rate, rngs=rngs)
        self.layers = nnx.List([nnx.Linear(64, 8, rngs=rngs), nnx.Linear(8, CLASSES, rngs=rngs)])

    def __call__(self, x):
        x = nnx.relu(self.norm(self.conv(x)))
        x = self.dropout(x.reshape(x.shape[0], -1))
        return self.layers[1](nnx.relu(self.layers[0](x)))


MODELS = {
    "linen": lambda dropout_rate=0.0: from_linen(LinenNetwork(dropout_rate), SHAPE),
    "nnx": lambda dropout_rate=0.0: from_nnx(lambda rngs: NnxNetwork(dropout_rate, rngs=rngs)),
}


@cache
def start(make):
    return jax.jit(make().init)(jax.random.key(0))


each = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)


@each
def test_parameters_and_state_are_nested_dicts_of_arrays(make):
    for tree in start(make):
        assert type(tree) is dict
        assert jax.tree.leaves(tree)
        assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(tree))
        assert not any(
            jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in jax.tree.leaves(tree)
        )


@each
def test_keeps_the_promises_of_a_model(make):
    output = jax.ShapeDtypeStruct((6, CLASSES), jnp.float32)
    check_model(Row(make, IMAGES, output, foreign=True))


@each
def test_trains_under_over_seeds(make):
    batch = {"image": jnp.stack([IMAGES] * 2), "label": jnp.stack([LABELS] * 2)}
    learner = over_seeds(supervised(make(0.1), cross_entropy, optax.adam(1e-2)), 2)
    state = jax.jit(learner.init)(jax.random.key(0))
    step = jax.jit(learner.train_step)
    start = state
    for _ in range(60):
        state, metrics = step(state, batch)
    assert metrics.means()["loss"].shape == (2,)
    assert (metrics.means()["loss"] < 0.3).all()
    moved = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), state.model_state, start.model_state)
    assert all(jax.tree.leaves(moved))


def test_linen_equals_the_flax_module():
    module, model = LinenNetwork(), from_linen(LinenNetwork(), SHAPE)
    params, state = model.init(jax.random.key(0))
    variables = module.init(jax.random.key(0), IMAGES, train=False)
    chex.assert_trees_all_equal(params, variables["params"])
    assert list(state) == ["batch_stats"]
    logits, updated = module.apply(
        {"params": params, **state},
        IMAGES,
        train=True,
        mutable=["batch_stats"],
        rngs={"dropout": KEY},
    )
    actual = model.apply(params, state, IMAGES, train=True, key=KEY)
    chex.assert_trees_all_close(actual, (logits, updated), atol=1e-6)
    expected = module.apply({"params": params, **updated}, IMAGES, train=False)
    logits, _ = model.apply(params, updated, IMAGES, train=False)
    np.testing.assert_allclose(logits, expected, atol=1e-6)


def test_linen_modules_that_say_deterministic():
    class Network(linen.Module):
        @linen.compact
        def __call__(self, x, deterministic):
            return linen.Dropout(0.5, deterministic=deterministic)(x)

    model = from_linen(Network(), (40,), train_argument="deterministic")
    params, state = model.init(jax.random.key(0))
    assert (params, state) == ({}, {})
    ones = jnp.ones((2, 40))
    np.testing.assert_array_equal(model.apply({}, {}, ones, train=False)[0], ones)
    dropped = model.apply({}, {}, ones, train=True, key=KEY)[0]
    assert set(np.unique(dropped)) == {0, 2}


def test_linen_modules_without_modes_and_of_integers():
    model = from_linen(linen.Embed(5, 3), (4,), dtype=jnp.int32, train_argument=None)
    params, state = model.init(jax.random.key(0))
    ids = jnp.array([[0, 1, 2, 4]])
    output, _ = model.apply(params, state, ids, train=True, key=KEY)
    np.testing.assert_array_equal(output, params["embedding"][ids])


def test_nnx_equals_the_flax_module():
    """The module itself, trained and evaluated by Flax's own hands, without dropout."""
    model = from_nnx(lambda rngs: NnxNetwork(0.0, rngs=rngs))
    module = NnxNetwork(0.0, rngs=nnx.Rngs(jax.random.key(0)))
    params, state = model.init(jax.random.key(0))
    np.testing.assert_array_equal(params["conv"]["kernel"], module.conv.kernel[...])
    np.testing.assert_array_equal(params["layers"][1]["kernel"], module.layers[1].kernel[...])
    for _ in range(2):
        module.train()
        logits, state = model.apply(params, state, IMAGES, train=True, key=KEY)
        np.testing.assert_allclose(logits, module(IMAGES), atol=1e-5)
        np.testing.assert_allclose(state["norm"]["mean"], module.norm.mean[...], atol=1e-6)
        np.testing.assert_allclose(state["norm"]["var"], module.norm.var[...], atol=1e-5)
    module.eval()
    logits, _ = model.apply(params, state, IMAGES, train=False)
    np.testing.assert_allclose(logits, module(IMAGES), atol=1e-5)


def test_nnx_applies_the_parameters_it_is_given():
    model = from_nnx(lambda rngs: nnx.Linear(3, 2, rngs=rngs))
    params = {"kernel": jnp.arange(6.0).reshape(3, 2), "bias": jnp.array([1.0, -1.0])}
    output, state = model.apply(params, {}, jnp.eye(3), train=True)
    np.testing.assert_array_equal(output, params["kernel"] + params["bias"].reshape(1, 2))
    assert state == {}


def test_nnx_layers_draw_independently_of_each_other():
    class Twice(nnx.Module):
        def __init__(self, rngs):
            self.a, self.b = nnx.Dropout(0.5, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)

        def __call__(self, x):
            return self.a(x), self.b(x)

    model = from_nnx(Twice)
    (a, b), _ = model.apply({}, {}, jnp.ones((8, 8)), train=True, key=KEY)
    assert not np.array_equal(a, b)
    np.testing.assert_allclose([(a == 0).mean(), (b == 0).mean()], 0.5, atol=0.25)
