"""Operations of many shapes, drawn at random, against other libraries and plain loops."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from dl_jax.functional import (
    batch_norm,
    cross_entropy,
    dense,
    dot_product_attention,
    drop_norm,
    embed,
    group_norm,
    gru_cell,
    layer_norm,
    lstm_cell,
    reset_rnn_cell,
    rms_norm,
    rnn_cell,
    scan_cell,
    softmax,
    split_linear,
)

few = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
size, shapes = st.integers(1, 5), array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=5)


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def check(ours, theirs, *operands):
    """The same values, and the same gradients of a weighted sum."""

    def weighed(function):
        def total(*operands):
            with jax.numpy_rank_promotion("allow"):
                y = function(*operands)
            return (y * jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape)).sum(), y

        wanted = tuple(range(len(operands)))
        return jax.jit(jax.grad(total, wanted, has_aux=True))(*operands)

    for a, b in zip(jax.tree.leaves(weighed(ours)), jax.tree.leaves(weighed(theirs)), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


@few
@given(shapes, size)
def test_dense(shape, features):
    x, kernel, bias = normal(0, *shape), normal(1, shape[-1], features), normal(2, features)
    layer = linen.Dense(features)
    check(
        dense,
        lambda x, k, b: layer.apply({"params": {"kernel": k, "bias": b}}, x),
        x, kernel, bias,
    )  # fmt: skip


@few
@given(st.lists(size, max_size=2), size, size, size)
def test_split_linear(batch, parts, part_in, part_out):
    def parts_one_by_one(x, kernel, bias):
        cut = [x[..., i * part_in : (i + 1) * part_in] for i in range(parts)]
        return jnp.concatenate([part @ kernel + bias for part in cut], axis=-1)

    x = normal(0, *batch, parts * part_in)
    check(split_linear, parts_one_by_one, x, normal(1, part_in, part_out), normal(2, part_out))


@few
@given(shapes, st.integers(2, 9))
def test_embed(shape, vocabulary):
    indices = jnp.asarray(np.random.default_rng(0).integers(0, vocabulary, shape))

    def one_hot(table):
        return jax.nn.one_hot(indices, vocabulary) @ table

    check(lambda table: embed(indices, table), one_hot, normal(1, vocabulary, 3))


@few
@given(st.lists(size, max_size=3), st.integers(2, 9))
def test_layer_norm_and_rms_norm(batch, features):
    x, scale, bias = normal(0, *batch, features), normal(1, features), normal(2, features)
    layer = linen.LayerNorm(use_fast_variance=False)
    check(layer_norm, lambda x, s, b: layer.apply({"params": {"scale": s, "bias": b}}, x),
          x, scale, bias)  # fmt: skip
    check(rms_norm, lambda x, s: linen.RMSNorm().apply({"params": {"scale": s}}, x), x, scale)


@few
@given(size, st.lists(size, max_size=2), st.integers(1, 3), st.integers(2, 4))
def test_group_norm(batch, pixels, groups, channels_each):
    channels = groups * channels_each
    x, scale, bias = normal(0, batch, *pixels, channels), normal(1, channels), normal(2, channels)
    layer = linen.GroupNorm(groups, use_fast_variance=False)
    check(lambda *a: group_norm(*a, groups=groups),
          lambda x, s, b: layer.apply({"params": {"scale": s, "bias": b}}, x),
          x, scale, bias)  # fmt: skip


@few
@given(st.integers(4, 8), st.lists(size, max_size=2), size)
def test_batch_norm(batch, pixels, channels):
    x, scale, bias = normal(0, batch, *pixels, channels), normal(1, channels), normal(2, channels)
    mean, var = normal(3, channels), jnp.exp(normal(4, channels))
    layer = linen.BatchNorm(use_running_average=False, momentum=0.9, use_fast_variance=False)

    def theirs(x, scale, bias):
        variables = {"params": {"scale": scale, "bias": bias},
                     "batch_stats": {"mean": mean, "var": var}}  # fmt: skip
        return layer.apply(variables, x, mutable=["batch_stats"])[0]

    check(lambda *a: batch_norm(*a, mean, var, train=True)[0], theirs, x, scale, bias)


@few
@given(st.lists(size, max_size=2), st.integers(6, 12), st.floats(0.1, 0.6))
def test_drop_norm_is_layer_norm_of_the_survivors(batch, features, rate):
    x = normal(0, *batch, features)
    ones, zeros = jnp.ones(features), jnp.zeros(features)
    y = drop_norm(x, ones, zeros, rate=rate, train=True, key=jax.random.key(0))
    for row, normalized in zip(
        np.reshape(x, (-1, features)), np.reshape(y, (-1, features)), strict=True
    ):
        alive = normalized != 0
        if alive.sum() < 2:  # one alone is its own mean, and cannot be told from a dropped one
            continue
        expected = (row[alive] - row[alive].mean()) / np.sqrt(row[alive].var() + 1e-6)
        np.testing.assert_allclose(normalized[alive], expected, rtol=1e-3, atol=1e-3)


@few
@given(shapes.filter(lambda shape: shape[-1] > 1), st.floats(0, 1), st.randoms())
def test_cross_entropy(shape, smoothing, random):
    logits = 3 * normal(random.randrange(99), *shape)
    labels = jnp.asarray(np.random.default_rng(0).integers(0, shape[-1], shape[:-1]))
    smooth = optax.smooth_labels(jax.nn.one_hot(labels, shape[-1]), smoothing)
    check(lambda x: cross_entropy(x, labels, label_smoothing=smoothing),
          lambda x: optax.softmax_cross_entropy(x, smooth), logits)  # fmt: skip
    check(softmax, jax.nn.softmax, logits)


@few
@given(size, size, size, size, size, size, st.integers(0, 99))
def test_attention(batch, time, source, heads, head_dim, value_dim, seed):
    query, key = normal(0, batch, time, heads, head_dim), normal(1, batch, source, heads, head_dim)
    value = normal(2, batch, source, heads, value_dim)
    mask = np.random.default_rng(seed).random((batch, 1, time, source)) < 0.6
    mask[..., 0] = True  # where nothing may be seen, Flax gives the mean
    mask = jnp.asarray(mask)
    check(lambda *a: dot_product_attention(*a, mask=mask),
          lambda *a: linen.dot_product_attention(*a, mask=mask), query, key, value)  # fmt: skip


CELLS = {rnn_cell: 1, reset_rnn_cell: 2, gru_cell: 3, lstm_cell: 4}


@few
@given(
    st.sampled_from(sorted(CELLS, key=lambda cell: cell.__name__)),
    st.integers(1, 3), st.integers(1, 5), size, size, st.booleans(), st.integers(1, 3),
    st.data(),
)  # fmt: skip
def test_scan_is_a_loop(cell, batch, time, features, hidden, reverse, unroll, data):
    """Whatever the lengths: padding leaves the carry alone, and its outputs are zero."""
    lengths = data.draw(st.lists(st.integers(1, time), min_size=batch, max_size=batch))
    mask = jnp.asarray(np.arange(time) < np.array(lengths)[:, None])
    params = {
        "input": {"kernel": normal(0, features, CELLS[cell] * hidden)},
        "hidden": {"kernel": normal(1, hidden, CELLS[cell] * hidden)},
    }
    start = normal(2, batch, hidden)
    carry = (start, start) if cell is lstm_cell else start

    def loop(params, inputs):
        outputs, last = jnp.zeros((batch, time, hidden)), []
        for b, length in enumerate(lengths):
            own = jax.tree.map(lambda leaf, b=b: leaf[b : b + 1], carry)
            for t in reversed(range(length)) if reverse else range(length):
                own, y = cell(params, own, inputs[b : b + 1, t])
                outputs = outputs.at[b, t].set(y[0])
            last.append(own)
        last = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *last)
        return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves((last, outputs))])

    def ours(params, inputs):
        last, outputs = scan_cell(
            cell, params, carry, inputs, mask=mask, reverse=reverse, unroll=unroll
        )
        return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves((last, outputs))])

    check(ours, loop, params, normal(3, batch, time, features))
