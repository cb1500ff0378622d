"""Dropout: its rate, its expectation, its key."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.errors import UsageError
from dl_jax.functional import dropout

KEY = jax.random.key(0)
COUNT = 100_000


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.9])
def test_rate_and_expectation(rate):
    y = np.asarray(dropout(jnp.ones(COUNT), rate, key=KEY))
    error = 4 * (rate * (1 - rate) / COUNT) ** 0.5  # four standard deviations
    assert abs((y == 0).mean() - rate) < error
    assert abs(y.mean() - 1) < error / (1 - rate)
    np.testing.assert_allclose(np.unique(y), [0, 1 / (1 - rate)], rtol=1e-6)


def test_elements_are_dropped_independently():
    """Neighbors along either axis drop together as often as chance has it."""
    dropped = np.asarray(dropout(jnp.ones((300, 300)), 0.3, key=KEY)) == 0
    for a, b in ((dropped[1:], dropped[:-1]), (dropped[:, 1:], dropped[:, :-1])):
        assert abs((a & b).mean() - 0.09) < 0.005


def test_rate_zero_keeps_everything():
    x = jnp.arange(1000.0)
    np.testing.assert_array_equal(dropout(x, 0.0, key=KEY), x)


def test_equal_keys_drop_the_same_elements():
    a, b, c = (dropout(jnp.ones(100), 0.5, key=jax.random.key(s)) for s in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_gradient_is_the_mask():
    x = jnp.linspace(-1, 1, 50)
    y, pull = jax.vjp(lambda x: dropout(x, 0.5, key=KEY), x)
    (gradient,) = pull(jnp.ones(50))
    np.testing.assert_allclose(gradient, np.where(y == 0, 0, 2))


def test_dropped_values_may_be_anything():
    x = jnp.full(1000, jnp.nan)
    y = dropout(x, 0.5, key=KEY)
    assert set(np.unique(np.nan_to_num(y, nan=1))) == {0, 1}
    gradient = jax.grad(lambda x: jnp.where(y == 0, dropout(x, 0.5, key=KEY), 0).sum())(x)
    np.testing.assert_array_equal(gradient, 0)


def test_rate_may_be_mapped_over():
    rates = jnp.array([0.0, 0.25, 0.5, 0.75])
    x = jnp.ones(20_000)
    swept = jax.jit(jax.vmap(lambda rate: dropout(x, rate, key=KEY)))(rates)
    for rate, y in zip([0.0, 0.25, 0.5, 0.75], swept, strict=True):
        np.testing.assert_allclose(y, dropout(x, rate, key=KEY), rtol=1e-6)
    np.testing.assert_allclose((swept == 0).mean(1), rates, atol=0.02)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_type_and_shape_are_kept(dtype):
    y = dropout(jnp.ones((2, 3, 4), dtype), 0.5, key=KEY)
    assert (y.dtype, y.shape) == (dtype, (2, 3, 4))


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan")])
def test_a_rate_outside_its_range_is_refused(rate):
    with pytest.raises(UsageError, match=f"dropout rate is {rate}"):
        dropout(jnp.ones(3), rate, key=KEY)
