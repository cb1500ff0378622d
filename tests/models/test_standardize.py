"""Standardization, against scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.preprocessing import StandardScaler

from dl_jax.models import standardize

BYTES = np.random.default_rng(0).integers(0, 256, (20, 5, 4, 3)).astype(np.uint8)
BYTES[..., 1] //= 4


def test_is_that_of_scikit_learn():
    rows = BYTES.reshape(-1, 3) / 255
    scaler = StandardScaler().fit(rows)
    function = standardize(scaler.mean_.astype(np.float32), scaler.scale_.astype(np.float32))
    actual = jax.jit(function)(jnp.asarray(BYTES))
    assert (actual.dtype, actual.shape) == (jnp.float32, BYTES.shape)
    expected = scaler.transform(rows).reshape(BYTES.shape)
    np.testing.assert_allclose(actual, expected, atol=2e-6)
    np.testing.assert_allclose(actual.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(actual.std((0, 1, 2)), 1, atol=1e-5)


def test_black_and_white():
    mean, deviation = np.array([0.5], np.float32), np.array([0.25], np.float32)
    values = standardize(mean, deviation)(jnp.array([[[[0], [255]]]], jnp.uint8))
    np.testing.assert_allclose(values.ravel(), [-2, 2], rtol=1e-6)


def test_one_image_or_many_runs_of_many():
    function = standardize(np.full(3, 0.4, np.float32), np.full(3, 0.2, np.float32))
    many = function(jnp.asarray(BYTES.reshape(2, 10, 5, 4, 3)))
    np.testing.assert_array_equal(many[1, 3], function(jnp.asarray(BYTES[13])))
