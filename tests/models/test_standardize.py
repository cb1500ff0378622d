"""Standardization, against scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from dl_jax.errors import UsageError
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
    mean, std = np.array([0.5], np.float32), np.array([0.25], np.float32)
    values = standardize(mean, std)(jnp.array([[[[0], [255]]]], jnp.uint8))
    np.testing.assert_allclose(values.ravel(), [-2, 2], rtol=1e-6)


def test_one_image_or_several_axes_of_them():
    function = standardize(np.full(3, 0.4, np.float32), np.full(3, 0.2, np.float32))
    many = function(jnp.asarray(BYTES.reshape(2, 10, 5, 4, 3)))
    np.testing.assert_array_equal(many[1, 3], function(jnp.asarray(BYTES[13])))


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (BYTES / np.float32(255), "type float32"),
        (BYTES.astype(np.int32), "type int32"),
        (BYTES[..., :2], "expected uint8 .* with 3 channels"),
        (BYTES[..., :1], "expected uint8 .* with 3 channels"),
    ],
)
def test_images_that_do_not_fit_are_refused(images, said):
    function = standardize(np.full(3, 0.4, np.float32), np.full(3, 0.2, np.float32))
    with pytest.raises(UsageError, match=said):
        function(images)


@pytest.mark.parametrize(
    ("mean", "std"), [([0.5], [0.0]), ([0.5], [-1.0]), ([np.nan], [1.0]), ([0.5, 0.4], [1.0])]
)
@pytest.mark.usefixtures("without_type_checks")
def test_statistics_out_of_range_are_refused(mean, std):
    with pytest.raises(UsageError, match="expected a finite mean and a positive std"):
        standardize(np.float32(mean), np.float32(std))
