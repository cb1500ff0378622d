"""Attention beyond the table: Flax's parameters, causality, and what is refused."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from dl_jax.functional import (
    attend_to,
    best_way,
    blocked_attention,
    causal_mask,
    context_weights,
    dot_product_attention,
    keys_and_values,
    multi_head_attention,
    multi_head_weights,
    padding_mask,
    sinusoidal_positions,
)
from dl_jax.functional.attention.dot_product import _by_cudnn


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_multi_head_attention_takes_the_parameters_of_flax():
    layer = linen.MultiHeadDotProductAttention(3, qkv_features=12, out_features=8)
    x, context, mask = normal(0, 2, 5, 8), normal(1, 2, 5, 8), causal_mask(5)
    params = jax.tree.map(
        lambda leaf: normal(leaf.size, *leaf.shape),
        jax.eval_shape(layer.init, jax.random.key(0), x)["params"],
    )
    with jax.numpy_rank_promotion("allow"):
        expected = jax.jit(lambda p: layer.apply({"params": p}, x, context, mask=mask))(params)
    actual = jax.jit(lambda p: multi_head_attention(x, context, **p, mask=mask))(params)
    np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(("time", "source"), [(6, 6), (4, 6), (1, 6)])
def test_no_gradient_flows_from_the_past_to_the_future(time, source):
    """The result of a query depends on no key after it; the last query sees the last key."""
    x, mask = normal(0, 1, source, 2, 4), causal_mask(time, source)

    def results(x):
        return dot_product_attention(x[:, source - time :], x, x, mask=mask)[0].sum((1, 2))

    gradients = np.abs(jax.jit(jax.jacrev(results))(x)).max((1, 3, 4))  # [T, S]
    np.testing.assert_array_equal(gradients > 0, np.tri(time, source, source - time) > 0)


MASKS = {
    "none": None,
    "padding": padding_mask(np.array([7, 3]), 11),
    "any": np.random.default_rng(5).random((1, 3, 5, 11)) < 0.5,
    "of no key": padding_mask(np.array([0, 11]), 11),
    "of queries": np.array([True, False, True, True, False])[None, None, :, None],
}


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("mask", MASKS)
def test_attention_in_blocks_is_attention(mask, causal):
    """Values and gradients; the last block is not whole."""
    arguments = normal(0, 2, 5, 3, 4), normal(1, 2, 11, 3, 4), normal(2, 2, 11, 3, 6)
    weights = normal(3, 2, 5, 3, 6)
    options = {"mask": MASKS[mask], "causal": causal}

    def outcome(attention):
        def loss(*arguments):
            averages = attention(*arguments, **options)
            return (averages * weights).sum(), averages

        return jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True))(*arguments)

    (_, expected), expected_gradients = outcome(partial(dot_product_attention, way="plain"))
    for block in (1, 4, 100):
        (_, averages), gradients = outcome(partial(blocked_attention, block=block))
        np.testing.assert_allclose(averages, expected, rtol=1e-5, atol=1e-6)
        for actual, wanted in zip(gradients, expected_gradients, strict=True):
            np.testing.assert_allclose(actual, wanted, rtol=1e-4, atol=1e-6)


def test_attention_in_blocks_computes_in_narrow_floats():
    query, key, value = (jnp.asarray(normal(i, 1, 6, 2, 8), jnp.bfloat16) for i in range(3))
    found, expected = (
        dot_product_attention(query, key, value, causal=True, way=way)
        for way in ("blocked", "plain")
    )
    assert found.dtype == jnp.bfloat16
    np.testing.assert_allclose(found.astype(float), expected.astype(float), atol=0.02)


def test_attention_in_blocks_never_holds_all_scores():
    """No array of the program or of its derivative has as many elements as queries times keys."""
    time, block = 64, 8
    x = jnp.zeros((1, time, 1, 4))

    def largest(way, mask):
        def loss(x):
            return dot_product_attention(x, x, x, mask=mask, causal=True, way=way).sum()

        return max(sizes_in(jax.make_jaxpr(jax.grad(loss))(x).jaxpr))

    blocked = partial(blocked_attention, block=block)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dl_jax.functional.attention.dot_product.blocked_attention", blocked)
        assert largest("blocked", padding_mask(np.array([50]), time)) <= time * block
    assert largest("plain", None) >= time * time


def sizes_in(jaxpr):
    for equation in jaxpr.eqns:
        yield from (variable.aval.size for variable in equation.outvars)
        for value in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda leaf: hasattr(leaf, "eqns")
        ):
            inside = getattr(value, "jaxpr", value)
            if hasattr(inside, "eqns"):
                yield from sizes_in(inside)


@pytest.mark.parametrize(
    ("backend", "dtype", "shape", "way"),
    [
        ("cpu", "float32", (2, 256, 6, 64), "plain"),
        ("cpu", "bfloat16", (2, 256, 6, 64), "plain"),
        ("cpu", "float32", (2, 8192, 6, 64), "blocked"),
        ("gpu", "bfloat16", (2, 8192, 6, 64), "cudnn"),
        ("gpu", "float16", (2, 256, 6, 128), "cudnn"),
        ("gpu", "bfloat16", (2, 256, 6, 12), "plain"),
        ("gpu", "bfloat16", (2, 8192, 6, 256), "blocked"),
        ("gpu", "float32", (2, 256, 6, 64), "plain"),
        ("tpu", "bfloat16", (2, 256, 6, 64), "plain"),
    ],
)
def test_the_way_follows_platform_type_and_size(monkeypatch, backend, dtype, shape, way):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    found = []
    x = jax.ShapeDtypeStruct(shape, dtype)  # traced, it takes no memory
    jax.eval_shape(lambda x: found.append(best_way(x, x, x)), x)
    assert found == [way]


@pytest.mark.parametrize(
    ("time", "source", "value_dim", "masked", "way"),
    [
        (8, 8, 64, True, "cudnn"),
        (7, 8, 64, False, "cudnn"),
        (7, 8, 64, True, "plain"),  # its gradient takes even lengths
        (8, 7, 64, True, "plain"),
        (8, 8, 128, False, "plain"),  # values as long as keys
    ],
)
def test_a_gpu_is_asked_for_what_it_can(monkeypatch, time, source, value_dim, masked, way):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    query, key, value = (
        jnp.zeros((1, length, 2, size), jnp.bfloat16)
        for length, size in ((time, 64), (source, 64), (source, value_dim))
    )
    assert best_way(query, key, value, masked=masked) == way


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("time", [3, 6])
def test_what_is_asked_of_a_gpu_means_the_same(causal, masked, time):
    """By the same call of JAX in another implementation, which any machine has."""
    random = np.random.default_rng(0)
    query, key, value = (
        jnp.asarray(random.normal(size=(2, length, 2, 8)), jnp.float32) for length in (time, 6, 6)
    )
    mask = jnp.asarray(random.random((2, 1, time, 6)) < 0.5).at[:, :, 1, :4].set(False)
    mask = mask.at[:, :, 0].set(False) if masked else None  # a query that sees nothing
    found = _by_cudnn(query, key, value, mask, causal, "xla")
    plain = dot_product_attention(query, key, value, mask=mask, causal=causal, way="plain")
    np.testing.assert_allclose(found, plain, atol=1e-6)


def test_a_context_is_read_once_for_all_that_attend_to_it():
    rng = np.random.default_rng(0)
    shapes = {"query": (8, 3, 4), "key": (8, 3, 4), "value": (8, 3, 4), "out": (3, 4, 8)}
    layer = {name: {"kernel": rng.normal(size=shape)} for name, shape in shapes.items()}
    layer = jax.tree.map(lambda leaf: leaf.astype(np.float32), layer)
    x, context, mask = normal(0, 2, 5, 8), normal(1, 2, 6, 8), padding_mask(np.array([6, 2]), 6)

    @jax.jit
    def outcomes(layer):
        read = keys_and_values(context, **layer)
        weights = context_weights(x, read, **layer, mask=mask)
        averages = jnp.einsum("bhts,bshd->bthd", weights, read.value)
        return [
            attend_to(x, read, **layer, mask=mask),
            jnp.einsum("bthd,hdf->btf", averages, layer["out"]["kernel"]),
        ]

    expected = multi_head_attention(x, context, **layer, mask=mask)
    for outcome in outcomes(layer):
        np.testing.assert_allclose(outcome, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rotary", [False, True])
def test_the_weights_that_are_shown_are_those_that_are_used(rotary):
    """A head whose values are unit vectors gives its weights."""
    time, rng = 6, np.random.default_rng(0)
    layer = {name: {"kernel": rng.normal(size=(time, 1, 6))} for name in ("query", "key")}
    unit = {"value": {"kernel": np.eye(time)[:, None]}, "out": {"kernel": np.eye(time)[None]}}
    layer = jax.tree.map(lambda leaf: leaf.astype(np.float32), layer | unit)
    x = np.eye(time, dtype=np.float32)[None]
    options = {"causal": True, "rotary": rotary}
    used = multi_head_attention(x, **layer, **options)
    np.testing.assert_allclose(multi_head_weights(x, **layer, **options)[:, 0], used, atol=1e-5)


def test_lengths_that_do_not_fit_are_refused():
    queries, keys = normal(0, 1, 4, 1, 2), normal(0, 1, 3, 1, 2)
    for way in ("plain", "blocked"):
        with pytest.raises(ValueError, match="source is 3, expected at least time"):
            dot_product_attention(queries, keys, keys, causal=True, way=way)
    with pytest.raises(ValueError, match="source is 3, expected at least time \\(4\\)"):
        causal_mask(4, 3)
    with pytest.raises(ValueError, match="even number of features, got 5"):
        sinusoidal_positions(3, 5)
