"""Dense layers beyond the table: float32 sums, types that differ, parts that do not fit."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.functional import dense, split_linear


def test_bfloat16_is_summed_in_float32():
    """Added up in bfloat16, ones stand still at 256; the result is rounded once."""
    x, kernel = jnp.ones((1, 4096), jnp.bfloat16), jnp.ones((4096, 1), jnp.bfloat16)
    y = dense(x, kernel)
    assert y.dtype == jnp.bfloat16
    assert y.item() == 4096
    text = jax.jit(dense).lower(x, kernel).as_text()
    assert "tensor<4096x1xbf16>) -> tensor<1x1xf32>" in text


def test_the_gradient_of_a_bias_is_summed_in_float32():
    x, kernel, bias = (np.zeros(s, jnp.bfloat16) for s in ((8, 1), (1, 2), (2,)))
    gradient = jax.grad(lambda bias: dense(x, kernel, bias).sum())
    assert re.search(r"f32\[2\] = reduce_sum", str(jax.make_jaxpr(gradient)(bias)))


def test_result_has_the_type_of_the_inputs():
    x, kernel, bias = jnp.ones((3, 4), jnp.bfloat16), jnp.ones((4, 5)), jnp.ones(5)
    assert jax.eval_shape(dense, x, kernel, bias).dtype == jnp.bfloat16
    assert jax.eval_shape(dense, x, kernel.astype(jnp.bfloat16), bias).dtype == jnp.bfloat16
    assert jax.eval_shape(dense, bias, kernel.T.astype(jnp.bfloat16)).dtype == jnp.float32


def test_features_that_cannot_be_split():
    with pytest.raises(ValueError, match="10 features cannot be split into parts of 4"):
        split_linear(jnp.ones((2, 10)), jnp.ones((4, 2)))
