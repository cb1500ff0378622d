"""Pooling beyond the table: ties, padding in bfloat16, float32 sums, and what is refused."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax import backprop
from dl_jax.functional import avg_pool, global_avg_pool, max_pool

each = pytest.mark.parametrize("ours", [max_pool, avg_pool])


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("padding", ["SAME", 1, ((0, 1), (1, 0))])
def test_padding_is_never_the_maximum(dtype, padding):
    """Of images of the lowest finite number; none of the gradient goes to the padding."""
    lowest = np.full((1, 5, 5, 1), jnp.finfo(dtype).min, dtype)

    @jax.jit
    def value_and_gradient(x):
        y, pull = jax.vjp(lambda x: max_pool(x, 2, padding=padding), x)
        return y, pull(jnp.ones_like(y))[0]

    y, gradient = value_and_gradient(lowest)
    assert y.dtype == dtype
    assert (y == lowest[0, 0, 0, 0]).all()
    assert gradient.astype(jnp.float32).sum() == y.size


@pytest.mark.parametrize("window", [2, (2, 3)])
def test_the_gradient_of_a_tie_goes_to_the_first(window):
    """As in `backprop.max_pool`; after a ReLU whole windows are zero."""
    x = np.random.default_rng(0).integers(0, 2, (3, 6, 6, 2)).astype(np.float32)
    pair = backprop.max_pool(window)

    @jax.jit
    def gradients(x):
        y, residuals = pair.forward(x)
        g = 1 + jnp.arange(y.size, dtype=jnp.float32).reshape(y.shape)
        ours = jax.vjp(lambda x: max_pool(x, window), x)[1](g)[0]
        return ours, pair.backward(residuals, g)[0]

    np.testing.assert_array_equal(*gradients(x))


def test_means_are_computed_in_float32():
    """In bfloat16, 256 and one are 256; and 64 * 64 numbers near one lose their sum."""
    x = np.array([256, 1, 1, 1], jnp.bfloat16).reshape(1, 2, 2, 1)
    assert avg_pool(x) == 65  # of 64.75, rounded once
    x = (1 + np.random.default_rng(0).normal(size=(1, 64, 64, 1)) / 10).astype(jnp.bfloat16)
    y = global_avg_pool(x)
    assert y.dtype == jnp.bfloat16
    assert abs(float(y[0, 0]) - x.astype(float).mean()) <= 2**-8  # rounded once


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
def test_windows_that_do_not_fit_are_refused(ours, size, window, options, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        ours(jnp.zeros((1, *size, 1)), window, **options)
