"""Activations beyond the table: forward mode, curvature, NaN, Python's numbers, small values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from dl_jax.functional import gelu, relu, softplus
from tests.functional.rows import activations

ELEMENTWISE = ("relu", "leaky_relu", "elu", "softplus", "tanh", "sigmoid", "gelu", "silu")
FUNCTIONS = {name: activations.ROWS[name].function for name in ELEMENTWISE}
SLOPES = {"elu": 1, "softplus": 0.5, "tanh": 1, "sigmoid": 0.25, "gelu": 0.5, "silu": 0.5}


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_smooth_activations_have_their_slope_at_zero_in_forward_mode_too(dtype):
    """Exact zeros are common: a black border under a bias that starts at zero."""
    zeros = jnp.array([0.0, -0.0], dtype)

    @jax.jit
    def slopes(zeros):
        return {
            name: (
                jax.jvp(FUNCTIONS[name], (zeros,), (jnp.ones_like(zeros),))[1],
                jax.vmap(jax.grad(FUNCTIONS[name]))(zeros),
            )
            for name in SLOPES
        }

    for name, (forward, backward) in slopes(zeros).items():
        assert forward.tolist() == backward.tolist() == [SLOPES[name]] * 2


def test_nan_gives_nan_and_relu_passes_its_gradient():
    values = jax.jit(lambda x: [function(x) for function in FUNCTIONS.values()])(jnp.nan)
    assert np.isnan(values).all()
    assert jax.grad(relu)(jnp.nan) == 1


def test_derivatives_at_a_python_number():
    for name, function in FUNCTIONS.items():
        reference = activations.ROWS[name].reference
        slope = (reference(0.5 + 1e-6) - reference(0.5 - 1e-6)) / 2e-6
        np.testing.assert_allclose(jax.grad(function)(0.5), slope, rtol=1e-5)


def test_gelu_is_accurate_where_it_is_small():
    x = np.linspace(-12, -3, 19)
    expected = x * scipy.stats.norm.cdf(x)
    np.testing.assert_allclose(gelu(jnp.asarray(x, jnp.float32)), expected, rtol=1e-4)
    half = gelu(jnp.asarray(x[-6:], jnp.bfloat16)).astype(jnp.float32)
    np.testing.assert_allclose(half, expected[-6:], rtol=0.1)


def test_curvatures():
    x = np.linspace(-3, 3, 7, dtype=np.float32)
    s = 1 / (1 + np.exp(-x))
    curvature = jax.jit(jax.vmap(jax.grad(jax.grad(softplus))))(x)
    np.testing.assert_allclose(curvature, s * (1 - s), rtol=1e-5)
    np.testing.assert_array_equal(jax.jit(jax.vmap(jax.grad(jax.grad(relu))))(x), 0)
