"""Attention and positions, against torch's and Flax's."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from dl_jax.functional import (
    causal_mask,
    dot_product_attention,
    multi_head_attention,
    padding_mask,
    rotary_positions,
    sinusoidal_positions,
)


def normal(seed, *shape, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def close(actual, expected, tolerance=2e-5):
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(
            np.asarray(a, np.float32), np.asarray(e, np.float32), rtol=tolerance, atol=tolerance
        )


def operands(time=5, source=7):
    return normal(0, 2, time, 3, 4), normal(1, 2, source, 3, 4), normal(2, 2, source, 3, 6)


MASKS = {
    "none": None,
    "causal": causal_mask(7),
    "padding": padding_mask(jnp.array([3, 7]), 7),
    "both": causal_mask(7) & padding_mask(jnp.array([3, 7]), 7),
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_value_and_gradients_are_those_of_torch(mask):
    torch = pytest.importorskip("torch")
    arrays = operands(time=7)
    leaves = [torch.tensor(np.asarray(a.transpose(0, 2, 1, 3)), requires_grad=True) for a in arrays]
    theirs = None if mask is None else torch.tensor(np.asarray(mask))
    expected = torch.nn.functional.scaled_dot_product_attention(*leaves, attn_mask=theirs)
    expected.sin().sum().backward()

    def ours(*arrays):
        return dot_product_attention(*arrays, mask=mask)

    close(ours(*arrays), expected.detach().numpy().transpose(0, 2, 1, 3))
    gradients = jax.grad(lambda *a: jnp.sin(ours(*a)).sum(), (0, 1, 2))(*arrays)
    close(gradients, tuple(leaf.grad.numpy().transpose(0, 2, 1, 3) for leaf in leaves))


@pytest.mark.parametrize(("time", "source"), [(1, 6), (4, 7), (5, 5)])
def test_the_causal_mask_of_the_last_queries_is_that_of_torch(time, source):
    torch = pytest.importorskip("torch")
    bias = pytest.importorskip("torch.nn.attention.bias")
    arrays = operands(time, source)
    leaves = [torch.tensor(np.asarray(a.transpose(0, 2, 1, 3)), requires_grad=True) for a in arrays]
    expected = torch.nn.functional.scaled_dot_product_attention(
        *leaves, attn_mask=bias.causal_lower_right(time, source)
    )
    expected.sin().sum().backward()

    def ours(*arrays):
        return dot_product_attention(*arrays, mask=causal_mask(time, source))

    close(ours(*arrays), expected.detach().numpy().transpose(0, 2, 1, 3))
    gradients = jax.grad(lambda *a: jnp.sin(ours(*a)).sum(), (0, 1, 2))(*arrays)
    close(gradients, tuple(leaf.grad.numpy().transpose(0, 2, 1, 3) for leaf in leaves))


def test_queries_and_keys_of_different_lengths():
    arrays = operands()
    y = dot_product_attention(*arrays)
    assert y.shape == (2, 5, 3, 6)
    with jax.numpy_rank_promotion("allow"):
        close(y, linen.dot_product_attention(*arrays))


def test_a_query_without_keys_has_output_zero():
    arrays = operands()
    mask = jnp.ones((2, 1, 5, 7), bool).at[0, 0, 2].set(False)
    y = dot_product_attention(*arrays, mask=mask)
    np.testing.assert_array_equal(y[0, 2], 0)
    gradients = jax.grad(lambda *a: dot_product_attention(*a, mask=mask).sum(), (0, 1, 2))(*arrays)
    assert all(bool(jnp.isfinite(g).all()) for g in gradients)


@pytest.mark.parametrize(("time", "source"), [(6, 6), (4, 6), (1, 6)])
def test_no_gradient_flows_from_the_past_to_the_future(time, source):
    """The result of a query depends on no key after it; the last query sees the last key."""
    x, mask = normal(0, 1, source, 2, 4), causal_mask(time, source)

    def at(t, x):
        return dot_product_attention(x[:, source - time :], x, x, mask=mask)[0, t].sum()

    for t in range(time):
        gradient, last = jax.grad(at, 1)(t, x)[0], t + source - time
        assert (gradient[last + 1 :] == 0).all()
        assert (jnp.abs(gradient[: last + 1]).max((1, 2)) > 0).all()


def test_masks():
    assert causal_mask(3)[0, 0].tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert causal_mask(2, 4)[0, 0].tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert padding_mask(jnp.array([0, 2]), 3)[:, 0, 0].tolist() == [[0, 0, 0], [1, 1, 0]]
    with pytest.raises(ValueError, match="source is 3, expected at least time \\(4\\)"):
        causal_mask(4, 3)


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("crossed", [False, True], ids=["self", "cross"])
def test_multi_head_attention_takes_the_parameters_of_flax(use_bias, crossed):
    layer = linen.MultiHeadDotProductAttention(
        3, qkv_features=12, out_features=8, use_bias=use_bias,
        bias_init=linen.initializers.normal(),
    )  # fmt: skip
    x = normal(0, 2, 5, 8)
    context = normal(1, 2, 5, 8) if crossed else None
    mask = causal_mask(5)
    params = layer.init(jax.random.key(0), x)["params"]
    with jax.numpy_rank_promotion("allow"):
        expected = layer.apply({"params": params}, x, context, mask=mask)
    close(multi_head_attention(x, context, **params, mask=mask), expected)

    def total(function):
        def of(params, x, context):
            with jax.numpy_rank_promotion("allow"):
                return jnp.sin(function(params, x, context)).sum()

        return jax.grad(of, (0, 1, 2) if crossed else (0, 1))(params, x, context)

    close(
        total(lambda p, x, c: multi_head_attention(x, c, **p, mask=mask)),
        total(lambda p, x, c: layer.apply({"params": p}, x, c, mask=mask)),
    )


def test_attention_in_bfloat16_is_close_to_float32():
    arrays = operands()
    half = dot_product_attention(*(a.astype(jnp.bfloat16) for a in arrays))
    assert half.dtype == jnp.bfloat16
    close(half, dot_product_attention(*arrays), 3e-2)


# Positions.


def test_sinusoidal_positions_are_the_formula():
    code = sinusoidal_positions(50, 6)
    for t, i in ((0, 0), (3, 1), (49, 2)):
        angle = t / 10_000 ** (2 * i / 6)
        np.testing.assert_allclose(
            code[t, 2 * i : 2 * i + 2], [np.sin(angle), np.cos(angle)], atol=1e-5
        )
    with pytest.raises(ValueError, match="even number of features, got 5"):
        sinusoidal_positions(3, 5)


def test_rotation_keeps_norms_and_depends_only_on_the_distance():
    query, key = normal(0, 1, 1, 1, 8), normal(1, 1, 1, 1, 8)

    def product(t, s):
        turned = rotary_positions(query, jnp.array([t])), rotary_positions(key, jnp.array([s]))
        return float((turned[0] * turned[1]).sum())

    np.testing.assert_allclose(product(3, 1), product(10, 8), rtol=1e-4)
    assert abs(product(3, 1) - product(3, 2)) > 1e-3
    many = normal(2, 2, 9, 3, 8)
    turned = rotary_positions(many, jnp.arange(9))
    close(jnp.linalg.norm(turned, axis=-1), jnp.linalg.norm(many, axis=-1))
    np.testing.assert_array_equal(turned[:, 0], many[:, 0])


def test_rotation_is_multiplication_by_a_complex_number():
    x, positions = normal(0, 2, 5, 3, 8), jnp.array([4, 0, 7, 1, 100])
    pairs = np.asarray(x[..., :4]) + 1j * np.asarray(x[..., 4:])
    angles = np.asarray(positions)[:, None] * 10_000.0 ** (-np.arange(4) / 4)
    turned = pairs * np.exp(1j * angles)[None, :, None, :]
    expected = np.concatenate([turned.real, turned.imag], -1)
    close(rotary_positions(x, positions), expected, 1e-4)
    # Its transpose turns back.
    g = normal(1, 2, 5, 3, 8)
    back = (np.asarray(g[..., :4]) + 1j * np.asarray(g[..., 4:])) * np.exp(-1j * angles)[:, None, :]
    gradient = jax.grad(lambda x: (g * rotary_positions(x, positions)).sum())(x)
    close(gradient, np.concatenate([back.real, back.imag], -1), 1e-4)


def test_rows_may_have_positions_of_their_own():
    x, positions = normal(0, 2, 5, 3, 8), jnp.array([[4, 0, 7, 1, 100], [0, 1, 2, 3, 4]])
    turned = rotary_positions(x, positions)
    for row in range(2):
        np.testing.assert_array_equal(
            turned[row : row + 1], rotary_positions(x[row : row + 1], positions[row])
        )


def test_positions_are_of_the_queries_where_there_is_a_context():
    x, context = normal(0, 2, 6, 8), normal(1, 2, 5, 8)
    params = {name: {"kernel": normal(2, 8, 2, 4)} for name in ("query", "key", "value")}
    run = partial(multi_head_attention, **params, out={"kernel": normal(3, 2, 4, 8)}, rotary=True)
    close(run(x[:, 2:], context, positions=jnp.arange(2, 6)), run(x, context)[:, 2:])


def test_shifting_all_positions_does_not_change_rotary_attention():
    """With the same padding in front, the attention of the rest is the same."""
    x = normal(0, 1, 4, 8)
    params = {
        name: {"kernel": normal(i, 8, 2, 4)} for i, name in enumerate(("query", "key", "value"))
    }
    params["out"] = {"kernel": normal(3, 2, 4, 8)}
    shifted = jnp.concatenate([normal(4, 1, 3, 8), x], 1)
    mask = jnp.broadcast_to(jnp.arange(7) >= 3, (1, 1, 7, 7))
    plain = multi_head_attention(x, **params, rotary=True)
    close(multi_head_attention(shifted, **params, rotary=True, mask=mask)[:, 3:], plain, 1e-4)
    assert jnp.abs(plain - multi_head_attention(x, **params)).max() > 1e-3
    for positions in (jnp.arange(4) + 3, jnp.arange(4)[None] + 5):
        close(multi_head_attention(x, **params, rotary=True, positions=positions), plain, 1e-4)
    apart = multi_head_attention(x, **params, rotary=True, positions=jnp.array([0, 2, 4, 6]))
    assert jnp.abs(plain - apart).max() > 1e-3
