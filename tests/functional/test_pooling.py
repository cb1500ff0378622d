"""Pooling, against XLA's windows, Flax's and torch's."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jax import lax

from dl_jax import backprop
from dl_jax.functional import avg_pool, global_avg_pool, max_pool
from dl_jax.functional.windows import as_pair, resolve_padding


def normal(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


def windows(combine, start, x, window, stride, padding):
    """XLA's own reduction over windows."""
    window = as_pair("window", window)
    stride = window if stride is None else as_pair("stride", stride)
    pads = resolve_padding(padding, x.shape[1:3], window, stride)
    sizes = (1, *window, 1), (1, *stride, 1), ((0, 0), *pads, (0, 0))
    return lax.reduce_window(x, start, combine, *sizes)


def reference_max(x, window, *, stride=None, padding="VALID"):
    return windows(lax.max, -jnp.inf, x, window, stride, padding)


def reference_mean(x, window, *, stride=None, padding="VALID"):
    height, width = as_pair("window", window)
    return windows(lax.add, 0.0, x, window, stride, padding) / (height * width)


PAIRS = {"max": (max_pool, reference_max), "avg": (avg_pool, reference_mean)}
each = pytest.mark.parametrize(("ours", "reference"), PAIRS.values(), ids=PAIRS)


def check(ours, reference, x, window, **options):
    def value_and_gradient(function):
        y, pull = jax.vjp(lambda x: function(x, window, **options), x)
        return y, *pull(jnp.cos(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape))

    actual = value_and_gradient(ours)
    for a, e in zip(actual, jax.jit(value_and_gradient, static_argnums=0)(reference), strict=True):
        assert (a.shape, a.dtype) == (e.shape, e.dtype)
        np.testing.assert_allclose(a, e, rtol=1e-5, atol=1e-6)


@each
@pytest.mark.parametrize(
    ("window", "options"),
    [
        (2, {}),
        (3, {"stride": 2}),  # windows overlap
        (3, {"stride": 1}),
        (2, {"stride": 3}),  # some pixels are in no window
        ((3, 1), {"stride": (1, 2)}),
        (3, {"stride": 2, "padding": "SAME"}),
        (3, {"stride": 2, "padding": 1}),
        ((2, 3), {"stride": 2, "padding": ((1, 0), (0, 2))}),
        (7, {}),
    ],
)
def test_value_and_gradient_are_those_of_xla(ours, reference, window, options):
    check(ours, reference, normal(2, 7, 8, 3), window, **options)


@settings(
    deadline=None,
    max_examples=6,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.sampled_from(sorted(PAIRS)),
    st.tuples(st.integers(4, 7), st.integers(4, 7)),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.sampled_from(["SAME", "VALID"]),
)
def test_any_window_is_that_of_xla(name, size, window, stride, padding):
    check(*PAIRS[name], normal(1, *size, 2), window, stride=stride, padding=padding)


@pytest.mark.parametrize(("window", "stride", "padding"), [(2, 2, "VALID"), (3, 2, "SAME")])
def test_values_are_those_of_flax(window, stride, padding):
    x = normal(2, 7, 6, 3)
    sizes = (window, window), (stride, stride), padding
    np.testing.assert_allclose(
        max_pool(x, window, stride=stride, padding=padding), linen.max_pool(x, *sizes)
    )
    np.testing.assert_allclose(
        avg_pool(x, window, stride=stride, padding=padding), linen.avg_pool(x, *sizes), atol=1e-6
    )


@pytest.mark.parametrize(("window", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (3, 1, 1)])
@pytest.mark.parametrize("name", PAIRS)
def test_value_and_gradient_are_those_of_torch(name, window, stride, padding):
    torch = pytest.importorskip("torch")
    x = normal(2, 7, 6, 3)
    t = torch.tensor(np.asarray(x.transpose(0, 3, 1, 2)), requires_grad=True)
    expected = getattr(torch.nn.functional, f"{name}_pool2d")(t, window, stride, padding)
    expected.sin().sum().backward()

    def ours(x):
        return PAIRS[name][0](x, window, stride=stride, padding=padding)

    np.testing.assert_allclose(ours(x).transpose(0, 3, 1, 2), expected.detach(), atol=1e-6)
    gradient = jax.grad(lambda x: jnp.sin(ours(x)).sum())(x)
    np.testing.assert_allclose(gradient.transpose(0, 3, 1, 2), t.grad, atol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("padding", ["SAME", 1, ((0, 1), (1, 0))])
def test_padding_is_never_the_maximum(dtype, padding):
    """Of images below zero, and of the lowest finite number, too."""
    x = -1 - jnp.abs(normal(1, 5, 5, 2)).astype(dtype)
    y = max_pool(x, 2, padding=padding)
    assert y.dtype == dtype
    assert (y <= -1).all()
    assert jnp.isfinite(y).all()
    lowest = jnp.full((1, 3, 3, 1), jnp.finfo(dtype).min, dtype)
    assert (max_pool(lowest, 2, padding=1) == jnp.finfo(dtype).min).all()
    gradient = jax.grad(lambda x: max_pool(x, 2, padding=padding).astype(jnp.float32).sum())(x)
    assert gradient.astype(jnp.float32).sum() == y.size  # none of it went to the padding


def test_padding_counts_as_zeros_in_the_mean():
    y = avg_pool(jnp.ones((1, 2, 2, 1)), 2, padding=1)
    np.testing.assert_array_equal(y[0, :, :, 0], np.full((2, 2), 0.25))


@pytest.mark.parametrize("window", [2, (2, 3)])
def test_the_gradient_of_a_tie_goes_to_the_first(window):
    """As in `backprop.max_pool`; after a ReLU whole windows are zero."""
    x = jnp.asarray(np.random.default_rng(0).integers(0, 2, (3, 6, 6, 2)), jnp.float32)
    pair = backprop.max_pool(window)
    y, residuals = pair.forward(x)
    g = 1 + jnp.arange(y.size, dtype=jnp.float32).reshape(y.shape)
    gradient = jax.vjp(lambda x: max_pool(x, window), x)[1](g)[0]
    np.testing.assert_array_equal(gradient, pair.backward(residuals, g)[0])


@pytest.mark.parametrize("place", range(4))
def test_nan_in_a_window_is_its_maximum(place):
    x = jnp.arange(4.0).at[place].set(jnp.nan).reshape(1, 2, 2, 1)
    assert jnp.isnan(max_pool(x, 2)).all()


def test_mapped_over_replicas():
    x = normal(3, 2, 4, 4, 1)
    np.testing.assert_allclose(jax.vmap(max_pool)(x), jnp.stack([max_pool(a) for a in x]))


def test_global_mean_is_that_of_numpy():
    x = normal(2, 5, 7, 3)
    np.testing.assert_allclose(global_avg_pool(x), np.asarray(x).mean((1, 2)), atol=1e-6)
    weights = jnp.cos(jnp.arange(6.0)).reshape(2, 3)
    gradient = jax.grad(lambda x: (weights * global_avg_pool(x)).sum())(x)
    np.testing.assert_allclose(
        gradient, np.broadcast_to(weights[:, None, None] / 35, x.shape), atol=1e-7
    )


def test_means_are_computed_in_float32():
    """Summed in bfloat16, 64 * 64 numbers near one lose their sum."""
    assert avg_pool(jnp.ones((1, 18, 18, 1), jnp.bfloat16), 18) == 1
    x = (1 + normal(1, 64, 64, 1) / 10).astype(jnp.bfloat16)
    y = global_avg_pool(x)
    assert y.dtype == jnp.bfloat16
    exact = np.asarray(x, np.float64).mean()
    assert abs(float(y[0, 0]) - exact) <= 2**-8  # rounded once


@each
@pytest.mark.parametrize(
    ("size", "window", "options", "said"),
    [
        ((2, 4), 3, {}, "a window of (3, 3) does not fit an image of (2, 4)"),
        ((4, 4), 0, {}, "window is 0"),
        ((4, 4), 2, {"stride": 0}, "stride is 0"),
        ((4, 4), 2, {"padding": "full"}, "padding is 'full'"),
        ((4, 4), 2, {"padding": -1}, "padding is -1"),
        ((4, 4), 2, {"padding": 2}, "contains only padding"),
        ((4, 5), 2, {"padding": ((0, 2), (0, 0))}, "contains only padding"),
        ((4, 5), (1, 3), {"padding": ((0, 0), (0, 4)), "stride": 1}, "contains only padding"),
    ],
)
def test_windows_that_do_not_fit_are_refused(ours, reference, size, window, options, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        ours(jnp.zeros((1, *size, 1)), window, **options)
