"""Activations, against JAX's, scipy's and torch's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from dl_jax.functional import (
    elu,
    gelu,
    leaky_relu,
    log_softmax,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)

GRID = np.concatenate([np.linspace(-6, 6, 101), [-40.0, 40.0]]).astype(np.float32)
EXTREME = jnp.array([-1e30, -1e4, -100.0, 0.0, 100.0, 1e4, 1e30])
ELEMENTWISE = {
    "relu": (relu, lambda x: np.maximum(x, 0)),
    "tanh": (tanh, np.tanh),
    "sigmoid": (sigmoid, scipy.special.expit),
    "gelu": (gelu, lambda x: x * scipy.stats.norm.cdf(x)),
    "leaky_relu": (leaky_relu, lambda x: np.where(x > 0, x, 0.01 * x)),
    "elu": (elu, lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0)))),
    "softplus": (softplus, lambda x: np.logaddexp(x, 0)),
    "silu": (silu, lambda x: x * scipy.special.expit(x)),
}
each = pytest.mark.parametrize(("function", "reference"), ELEMENTWISE.values(), ids=ELEMENTWISE)


@each
def test_value_is_that_of_scipy(function, reference):
    expected = reference(GRID.astype(np.float64))
    np.testing.assert_allclose(function(jnp.asarray(GRID)), expected, rtol=1e-5, atol=2e-6)


@each
def test_gradient_is_the_slope_of_the_reference(function, reference):
    x = GRID[np.abs(GRID) > 0.01].astype(np.float64)
    slope = (reference(x + 1e-5) - reference(x - 1e-5)) / 2e-5
    gradient = jax.vmap(jax.grad(function))(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-5)


@each
def test_extremes_have_finite_values_and_gradients(function, reference):
    assert jnp.isfinite(function(EXTREME)).all()
    assert jnp.isfinite(jax.vmap(jax.grad(function))(EXTREME)).all()


@each
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_type_and_shape_are_kept(function, reference, dtype):
    x = jnp.asarray(GRID.reshape(1, -1), dtype)
    y = function(x)
    assert (y.dtype, y.shape) == (dtype, x.shape)
    np.testing.assert_allclose(
        y.astype(jnp.float32), reference(np.asarray(x, np.float64)), rtol=0.03, atol=0.01
    )


@pytest.mark.parametrize("name", ["leaky_relu", "elu", "softplus", "silu"])
def test_value_and_gradient_are_those_of_torch(name):
    torch = pytest.importorskip("torch")
    function = ELEMENTWISE[name][0]
    x = torch.tensor(GRID[GRID != 0], requires_grad=True)
    y = getattr(torch.nn.functional, name)(x)
    y.sum().backward()
    ours = jnp.asarray(GRID[GRID != 0])
    np.testing.assert_allclose(function(ours), y.detach(), rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(jax.vmap(jax.grad(function))(ours), x.grad, rtol=1e-5, atol=2e-6)


def test_slopes_can_be_chosen():
    x = jnp.array([-2.0, 3.0])
    np.testing.assert_allclose(leaky_relu(x, negative_slope=0.2), [-0.4, 3])
    np.testing.assert_allclose(elu(x, alpha=2.0), [2 * np.expm1(-2), 3], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "slope"),
    [
        ("elu", 1.0),
        ("softplus", 0.5),
        ("silu", 0.5),
        ("gelu", 0.5),
        ("tanh", 1.0),
        ("sigmoid", 0.25),
    ],
)
def test_smooth_activations_have_their_slope_at_zero(name, slope):
    """Exact zeros are common: a black border under a bias that starts at zero."""
    function = ELEMENTWISE[name][0]
    for zero in (jnp.zeros(()), -jnp.zeros(()), jnp.zeros((), jnp.bfloat16)):
        np.testing.assert_allclose(jax.grad(function)(zero), slope)
    np.testing.assert_allclose(jax.jvp(function, (jnp.zeros(()),), (jnp.ones(()),))[1], slope)


def test_gelu_is_accurate_where_it_is_small():
    x = np.linspace(-12, -3, 19)
    expected = x * scipy.stats.norm.cdf(x)
    np.testing.assert_allclose(gelu(jnp.asarray(x, jnp.float32)), expected, rtol=1e-4)
    half = gelu(jnp.asarray(x[-6:], jnp.bfloat16)).astype(jnp.float32)
    np.testing.assert_allclose(half, expected[-6:], rtol=0.1)


def test_curvature_of_softplus():
    x = jnp.linspace(-3, 3, 7)
    s = sigmoid(x)
    np.testing.assert_allclose(jax.vmap(jax.grad(jax.grad(softplus)))(x), s * (1 - s), rtol=1e-5)


def test_relu_has_no_slope_at_zero():
    gradient = jax.vmap(jax.grad(relu))(jnp.array([-1.0, -0.0, 0.0, 1e-30, 1.0]))
    np.testing.assert_array_equal(gradient, [0, 0, 0, 1, 1])
    np.testing.assert_array_equal(jax.vmap(jax.grad(jax.grad(relu)))(jnp.array([-1.0, 1.0])), 0)


@each
def test_nan_gives_nan(function, reference):
    assert jnp.isnan(function(jnp.array([jnp.nan]))).all()


def test_relu_passes_the_gradient_of_nan():
    assert jax.grad(relu)(jnp.nan) == 1


@each
def test_derivatives_at_a_python_number(function, reference):
    assert jax.grad(lambda x: function(x).sum())(0.5) == jax.grad(lambda x: function(x).sum())(
        jnp.float32(0.5)
    )


def test_gelu_is_the_exact_form():
    np.testing.assert_allclose(
        gelu(jnp.asarray(GRID)), jax.nn.gelu(jnp.asarray(GRID), approximate=False), atol=2e-6
    )
    rough = jax.nn.gelu(jnp.asarray(GRID), approximate=True)
    assert jnp.abs(gelu(jnp.asarray(GRID)) - rough).max() > 1e-4


def test_gelu_and_its_gradient_are_those_of_torch():
    torch = pytest.importorskip("torch")
    x = torch.tensor(GRID, requires_grad=True)
    y = torch.nn.functional.gelu(x)
    y.sum().backward()
    np.testing.assert_allclose(gelu(jnp.asarray(GRID)), y.detach(), atol=2e-6)
    gradient = jax.vmap(jax.grad(gelu))(jnp.asarray(GRID))
    np.testing.assert_allclose(gradient, x.grad, atol=2e-6)


# The softmax family.


@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_softmax_is_that_of_scipy(axis, scale):
    x = scale * np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    np.testing.assert_allclose(
        log_softmax(jnp.asarray(x), axis=axis),
        scipy.special.log_softmax(x.astype(np.float64), axis=axis),
        rtol=1e-5,
        atol=1e-5,
    )
    np.testing.assert_allclose(
        softmax(jnp.asarray(x), axis=axis),
        scipy.special.softmax(x.astype(np.float64), axis=axis),
        rtol=1e-4,
        atol=1e-7,
    )


def test_gradient_of_log_softmax_is_that_of_jax():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 5)), jnp.float32)
    weights = jnp.cos(jnp.arange(15.0)).reshape(3, 5)
    actual, expected = (
        jax.grad(lambda x, f=f: (weights * f(x)).sum())(x)
        for f in (log_softmax, jax.nn.log_softmax)
    )
    np.testing.assert_allclose(actual, expected, atol=1e-6)


@pytest.mark.parametrize("extreme", [1e4, 1e30])
def test_softmax_of_extremes(extreme):
    x = jnp.array([[-extreme, 0.0, extreme], [extreme, extreme, -extreme]])
    np.testing.assert_allclose(softmax(x), [[0, 0, 1], [0.5, 0.5, 0]], atol=1e-7)
    np.testing.assert_allclose(log_softmax(x)[:, 2], [0, -2 * extreme], rtol=1e-4)
    assert jnp.isfinite(jax.grad(lambda x: log_softmax(x)[:, 0].sum())(x)).all()


def test_masked_logits_have_probability_zero_and_a_finite_gradient():
    x = jnp.array([1.0, -jnp.inf, 2.0])
    np.testing.assert_allclose(softmax(x), [1 / (1 + np.e), 0, np.e / (1 + np.e)], rtol=1e-6)
    gradient = jax.grad(lambda x: log_softmax(x)[0])(x)
    np.testing.assert_allclose(gradient, [1 - softmax(x)[0], 0, -softmax(x)[2]], rtol=1e-6)


def test_adding_a_constant_does_not_change_softmax():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 5)), jnp.float32)
    np.testing.assert_allclose(softmax(x + 1000), softmax(x), rtol=1e-3)


@pytest.mark.parametrize("function", [softmax, log_softmax])
def test_softmax_is_computed_in_float32(function):
    x = jnp.asarray(np.random.default_rng(0).normal(size=1000), jnp.bfloat16)
    y = function(x)
    assert y.dtype == jnp.float32
    np.testing.assert_allclose(y, function(x.astype(jnp.float32)), rtol=1e-6)
