"""Every operation in bfloat16: its type, and values and gradients near those of float32.

The float32 operations are tested against other libraries, each in its own file; here they are the
reference. bfloat16 keeps 8 bits: a number is known to 0.4 %, and a sum of a few likewise.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax import functional
from dl_jax.functional import (
    avg_pool,
    batch_norm,
    binary_cross_entropy,
    broadcast_tensors,
    conv2d,
    conv2d_transpose,
    cross_entropy,
    dense,
    dot_product_attention,
    drop_norm,
    dropout,
    elu,
    embed,
    expand_as,
    gelu,
    global_avg_pool,
    group_norm,
    gru_cell,
    huber_loss,
    l2_loss,
    layer_norm,
    leaky_relu,
    log_softmax,
    lstm_cell,
    max_pool,
    multi_head_attention,
    random_crop,
    random_horizontal_flip,
    relu,
    reset_rnn_cell,
    rms_norm,
    rnn_cell,
    rotary_positions,
    scan_cell,
    sigmoid,
    silu,
    softmax,
    softplus,
    split_linear,
    tanh,
)

HALF, WIDE = jnp.bfloat16, jnp.float32
KEY = jax.random.key(0)


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), WIDE)


ROWS, ROWS2, IMAGES = normal(0, 4, 6), normal(1, 4, 6), normal(2, 2, 6, 6, 3)
SEQUENCES, HEADS = normal(3, 2, 5, 6), [normal(i, 2, 5, 3, 4) for i in (4, 5, 6)]
LABELS, STEPS = jnp.array([0, 5, 2, 3]), jnp.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
ONES, ZEROS = jnp.ones(6), jnp.zeros(6)


def project(seed, *shape):
    return {"kernel": normal(seed, *shape) / 2}


MULTI_HEAD = {
    "query": project(7, 6, 3, 4), "key": project(8, 6, 3, 4), "value": project(9, 6, 3, 4),
    "out": project(10, 3, 4, 6),
}  # fmt: skip


def gates(count):
    return {"input": project(11, 6, 4 * count), "hidden": project(12, 4, 4 * count)}


def along_time(cell, count, *, lstm=False):
    """A cell along a sequence of which a part is padding."""

    def run(params, inputs):
        start = jnp.zeros((2, 4), inputs.dtype)
        return scan_cell(cell, params, (start, start) if lstm else start, inputs, mask=STEPS)[1]

    return run, (gates(count), SEQUENCES), HALF


# Name: a function of arrays, its operands, and the type of its result for bfloat16 operands.
ELEMENTWISE = (elu, gelu, leaky_relu, relu, sigmoid, silu, softplus, tanh)
OPERATIONS = {
    **{function.__name__: (function, (ROWS,), HALF) for function in ELEMENTWISE},
    "softmax": (softmax, (ROWS,), WIDE),
    "log_softmax": (log_softmax, (ROWS,), WIDE),
    "cross_entropy": (lambda x: cross_entropy(x, LABELS, label_smoothing=0.1), (ROWS,), WIDE),
    "binary_cross_entropy": (lambda x: binary_cross_entropy(x, ROWS2 > 0), (ROWS,), WIDE),
    "l2_loss": (l2_loss, (ROWS, ROWS2), WIDE),
    "huber_loss": (huber_loss, (ROWS, ROWS2), WIDE),
    "dense": (dense, (ROWS, normal(13, 6, 3), normal(14, 3)), HALF),
    "split_linear": (split_linear, (ROWS, normal(13, 3, 2), normal(14, 2)), HALF),
    "embed": (lambda table: embed(LABELS, table), (ROWS.repeat(2, 0),), HALF),
    "conv2d": (conv2d, (IMAGES, normal(15, 3, 3, 3, 4) / 5, normal(16, 4)), HALF),
    "conv2d_transpose": (
        lambda *a: conv2d_transpose(*a, stride=2), (IMAGES, normal(17, 3, 3, 3, 4) / 5), HALF,
    ),
    "max_pool": (max_pool, (IMAGES,), HALF),
    "avg_pool": (lambda x: avg_pool(x, 3, stride=2, padding="SAME"), (IMAGES,), HALF),
    "global_avg_pool": (global_avg_pool, (IMAGES,), HALF),
    "batch_norm": (
        lambda x, s, b: batch_norm(x, s, b, ZEROS, ONES, train=True)[0], (ROWS, ONES, ZEROS), HALF,
    ),
    "layer_norm": (layer_norm, (ROWS, ONES, ZEROS), HALF),
    "group_norm": (lambda *a: group_norm(*a, groups=2), (ROWS, ONES, ZEROS), HALF),
    "rms_norm": (rms_norm, (ROWS, ONES), HALF),
    "drop_norm": (
        lambda *a: drop_norm(*a, rate=0.3, train=True, key=KEY), (ROWS, ONES, ZEROS), HALF,
    ),
    "dropout": (lambda x: dropout(x, 0.3, key=KEY), (ROWS,), HALF),
    "rnn_cell": along_time(rnn_cell, 1),
    "reset_rnn_cell": along_time(reset_rnn_cell, 2),
    "gru_cell": along_time(gru_cell, 3),
    "lstm_cell": along_time(lstm_cell, 4, lstm=True),
    "scan_cell": (
        lambda x: scan_cell(lambda _, h, x: (h + x, h * x), {}, x[:, 0], x, reverse=True)[1],
        (SEQUENCES,), HALF,
    ),
    "dot_product_attention": (dot_product_attention, HEADS, HALF),
    "multi_head_attention": (
        lambda x, params: multi_head_attention(x, **params, rotary=True),
        (SEQUENCES, MULTI_HEAD), HALF,
    ),
    "rotary_positions": (lambda x: rotary_positions(x, jnp.arange(5)), HEADS[:1], HALF),
    "expand_as": (lambda x: expand_as(x, ROWS), (ROWS[:, :1],), HALF),
    "broadcast_tensors": (
        lambda *a: jnp.multiply(*broadcast_tensors(*a)), (ROWS[:, :1], ROWS[:1]), HALF,
    ),
    "random_horizontal_flip": (lambda x: random_horizontal_flip(x, key=KEY), (IMAGES,), HALF),
    "random_crop": (lambda x: random_crop(x, 1, key=KEY), (IMAGES,), HALF),
}  # fmt: skip
WITHOUT_HALF = {
    "Activation", "Cell", "Initializer", "KeyValueCache",  # types
    "broadcast_shapes", "causal_mask", "empty_cache", "padding_mask",  # no numbers
    "binary_correct", "correct", "multinomial",  # counts, and draws
    "sinusoidal_positions",  # float32 of positions
    "he_normal", "he_uniform", "lecun_normal", "orthogonal", "xavier_normal", "xavier_uniform",
    "zeros",  # parameters, which are float32
}  # fmt: skip


def test_every_operation_is_tested():
    assert set(OPERATIONS) | WITHOUT_HALF == set(functional.__all__)


def halved(tree):
    return jax.tree.map(lambda leaf: leaf.astype(HALF), tree)


@pytest.mark.parametrize("name", OPERATIONS)
def test_bfloat16_is_near_float32(name):
    function, operands, dtype = OPERATIONS[name]
    operands = tuple(operands)
    half = halved(operands)
    rounded = jax.tree.map(lambda leaf: leaf.astype(WIDE), half)
    y, pull = jax.vjp(function, *half)
    reference, pull_reference = jax.vjp(function, *rounded)
    assert y.dtype == dtype
    near(y, reference)
    cotangent = jnp.cos(jnp.arange(y.size, dtype=WIDE)).reshape(y.shape).astype(y.dtype)
    gradients = pull(cotangent)
    assert all(leaf.dtype == HALF for leaf in jax.tree.leaves(gradients))
    for ours, theirs in zip(
        jax.tree.leaves(gradients),
        jax.tree.leaves(pull_reference(cotangent.astype(WIDE))),
        strict=True,
    ):
        near(ours, theirs)


def near(half, wide):
    """Apart by 3 % of the largest number at most, and by 1 % of it on average."""
    apart = np.abs(np.asarray(half, np.float32) - np.asarray(wide))
    scale = np.abs(np.asarray(wide)).max()
    assert scale > 0  # or nothing would be compared
    assert apart.max() <= 0.03 * scale
    assert apart.mean() <= 0.01 * scale
