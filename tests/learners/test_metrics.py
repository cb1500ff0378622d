"""Metrics merge exactly, whatever the sizes of the batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dl_jax.learners import Metrics

VALUES = np.random.default_rng(0).normal(size=23).astype(np.float32)


def parts(size):
    """Metrics of all values in batches of `size`, the last one smaller."""
    return [Metrics.of({"loss": jnp.asarray(VALUES[i : i + size])}) for i in range(0, 23, size)]


def merged(metrics):
    first, *rest = (m.on_host() for m in metrics)
    for m in rest:
        first = first.merge(m)
    return first


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 23))
def test_mean_does_not_depend_on_the_batch_size(size):
    metrics = merged(parts(size))
    assert metrics.counts["loss"] == 23
    np.testing.assert_allclose(metrics.means()["loss"], VALUES.mean(dtype=np.float64), rtol=1e-6)


def test_smaller_last_batch_weighs_as_its_examples_do():
    """The mean of batch means would be something else."""
    means = [float(m.means()["loss"]) for m in parts(20)]
    assert abs(np.mean(means) - VALUES.mean()) > 1e-3
    np.testing.assert_allclose(merged(parts(20)).means()["loss"], VALUES.mean(), rtol=1e-6)


@pytest.mark.parametrize("filling", [0.0, 1e30, np.nan, np.inf])
@pytest.mark.parametrize("dtype", [bool, np.float32, np.int32])
def test_masked_last_batch_counts_as_a_smaller_one(filling, dtype):
    padded = np.concatenate([VALUES[20:], np.full(17, filling, np.float32)])
    mask = jnp.asarray(np.arange(20) < 3, dtype)
    last = Metrics.of({"loss": jnp.asarray(padded)}, mask)
    assert last.counts["loss"] == 3
    both = merged([Metrics.of({"loss": jnp.asarray(VALUES[:20])}), last])
    np.testing.assert_allclose(both.means()["loss"], VALUES.mean(), rtol=1e-6)


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize("shape", [(4, 1), (1,)])
def test_a_mask_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match="mask has shape .* expected that of loss"):
        Metrics.of({"loss": jnp.ones(4)}, jnp.ones(shape))


def test_names_are_kept_apart():
    metrics = Metrics.of({"loss": jnp.ones(4), "accuracy": jnp.array([1.0, 0, 0, 1])})
    assert metrics.means() == {"accuracy": 0.5, "loss": 1.0}


def test_nothing_counted_is_nan_and_no_warning():
    metrics = Metrics.of({"loss": jnp.ones(4)}, jnp.zeros(4))
    assert np.isnan(metrics.means()["loss"])


def test_on_host_sums_lose_nothing():
    """In float32, adding 1 to 2^24 changes nothing."""
    big = Metrics.of({"n": jnp.array([2.0**24])}).on_host()
    one = Metrics.of({"n": jnp.array([1.0])}).on_host()
    assert big.merge(one).sums["n"] == 2**24 + 1
    assert big.sums["n"].dtype == np.float64


def test_replicas_have_means_of_their_own():
    values, mask = jnp.arange(6.0).reshape(2, 3), jnp.array([[1, 1, 0], [0, 0, 1]])
    metrics = jax.jit(jax.vmap(lambda v, m: Metrics.of({"x": v}, m)))(values, mask)
    np.testing.assert_array_equal(metrics.means()["x"], [0.5, 5.0])
