"""The fully connected layer, against Flax's and torch's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from dl_jax.functional import dense


def normal(seed, *shape, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


@pytest.mark.parametrize("leading", [(), (5,), (2, 3), (2, 1, 3), (0,)])
@pytest.mark.parametrize("use_bias", [True, False])
def test_value_and_gradients_are_those_of_flax(leading, use_bias):
    x = normal(0, *leading, 4)
    params = {"kernel": normal(1, 4, 6), **({"bias": normal(2, 6)} if use_bias else {})}
    layer = linen.Dense(6, use_bias=use_bias)

    def value_and_gradients(function):
        y, pull = jax.vjp(function, x, params)
        return y, pull(jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))

    actual = value_and_gradients(lambda x, params: dense(x, **params))
    with jax.numpy_rank_promotion("allow"):  # Flax's bias needs it
        expected = value_and_gradients(lambda x, params: layer.apply({"params": params}, x))
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert (a.shape, a.dtype) == (e.shape, e.dtype)
        np.testing.assert_allclose(a, e, rtol=1e-5, atol=1e-5)


def test_value_and_gradients_are_those_of_torch():
    torch = pytest.importorskip("torch")
    operands = normal(0, 3, 4), normal(1, 4, 6), normal(2, 6)
    x, kernel, bias = (torch.tensor(np.asarray(a), requires_grad=True) for a in operands)
    expected = torch.nn.functional.linear(x, kernel.T, bias)
    expected.sin().sum().backward()
    np.testing.assert_allclose(dense(*operands), expected.detach(), rtol=1e-5, atol=1e-5)
    gradients = jax.grad(lambda *a: jnp.sin(dense(*a)).sum(), (0, 1, 2))(*operands)
    for actual, leaf in zip(gradients, (x, kernel, bias), strict=True):
        np.testing.assert_allclose(actual, leaf.grad, rtol=1e-5, atol=1e-5)


def test_bfloat16_is_summed_in_float32():
    """Added up in bfloat16, ones stand still at 256; the result is rounded once."""
    x, kernel = jnp.ones((1, 4096), jnp.bfloat16), jnp.ones((4096, 1), jnp.bfloat16)
    y = dense(x, kernel)
    assert y.dtype == jnp.bfloat16
    assert y.item() == 4096
    text = jax.jit(dense).lower(x, kernel).as_text()
    assert "tensor<4096x1xbf16>) -> tensor<1x1xf32>" in text


def test_result_has_the_type_of_the_inputs():
    x, kernel, bias = normal(0, 3, 4), normal(1, 4, 5), normal(2, 5)
    exact = dense(x, kernel, bias)
    half = dense(x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16), bias)
    assert (exact.dtype, half.dtype) == (jnp.float32, jnp.bfloat16)
    np.testing.assert_allclose(half.astype(jnp.float32), exact, atol=0.05)
