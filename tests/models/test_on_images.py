"""A network on images as they are stored."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.errors import UsageError
from dl_jax.models import mlp, on_images

STATISTICS = np.array([0.3, 0.6], np.float32), np.array([0.4, 0.5], np.float32)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.05)])
def test_images_are_standardized_in_float32_before_the_network_computes(dtype, tolerance):
    network = mlp((3, 4, 2), (8,), 5)
    model = on_images(network, STATISTICS, dtype)
    params, state = model.init(jax.random.key(0))
    images = np.random.default_rng(0).integers(0, 256, (6, 3, 4, 2), np.uint8)
    floats = (images / 255 - STATISTICS[0]) / STATISTICS[1]
    expected, _ = network.apply(params, state, jnp.asarray(floats, jnp.float32), train=False)
    found, _ = model.apply(params, state, images, train=False)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    assert (dtype == "float32") == bool(np.allclose(found, expected, atol=1e-5))


def test_what_is_no_stored_image_is_refused():
    model = on_images(mlp((3, 4, 2), (), 5), STATISTICS)
    params, state = model.init(jax.random.key(0))
    with pytest.raises(UsageError, match="standardize got images of type float32"):
        model.apply(params, state, jnp.zeros((1, 3, 4, 2)), train=False)
    with pytest.raises(UsageError, match="expected a floating-point type"):
        on_images(mlp((4,), (), 5), STATISTICS, "int8")
