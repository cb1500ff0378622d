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
    images = np.random.default_rng(0).integers(0, 256, (6, 3, 4, 2), np.uint8)
    floats = np.float32((images / 255 - STATISTICS[0]) / STATISTICS[1])

    @jax.jit
    def both(images, floats):
        params, state = model.init(jax.random.key(0))
        pairs = (model, images), (network, floats)
        return [of.apply(params, state, inputs, train=False)[0] for of, inputs in pairs]

    found, expected = both(images, floats)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    assert (dtype == "float32") == bool(np.allclose(found, expected, atol=1e-5))


def test_what_is_no_stored_image_is_refused():
    model = on_images(mlp((3, 4, 2), (), 5), STATISTICS)
    params, state = jax.eval_shape(model.init, jax.random.key(0))
    floats = jnp.zeros((1, 3, 4, 2))
    with pytest.raises(UsageError, match="standardize got images of type float32"):
        jax.eval_shape(lambda params: model.apply(params, state, floats, train=False), params)
    with pytest.raises(UsageError, match="expected a floating-point type"):
        on_images(mlp((4,), (), 5), STATISTICS, "int8")
