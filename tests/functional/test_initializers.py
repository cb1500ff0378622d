"""Initial kernels, against jax.nn.initializers and by their statistics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.functional import (
    conv2d,
    dirac,
    he_normal,
    he_uniform,
    lecun_normal,
    orthogonal,
    xavier_normal,
    xavier_uniform,
    zeros,
)
from dl_jax.functional.initializers import fans

REFERENCES = {
    "he_normal": (he_normal, (2.0, "fan_in", "normal")),
    "lecun_normal": (lecun_normal, (1.0, "fan_in", "normal")),
    "xavier_uniform": (xavier_uniform, (1.0, "fan_avg", "uniform")),
    "xavier_normal": (xavier_normal, (1.0, "fan_avg", "normal")),
    "he_uniform": (he_uniform, (2.0, "fan_in", "uniform")),
}
each = pytest.mark.parametrize(("ours", "scaling"), REFERENCES.values(), ids=REFERENCES)
KEY = jax.random.key(0)


@each
@pytest.mark.parametrize("shape", [(5, 7), (3, 2, 4, 6)], ids=["dense", "conv"])
def test_values_are_those_of_jax(ours, scaling, shape):
    expected = jax.nn.initializers.variance_scaling(*scaling)(KEY, shape)
    np.testing.assert_allclose(ours(KEY, shape), expected, rtol=1e-5, atol=1e-6)


@each
def test_values_follow_the_key(ours, scaling):
    a, b, c = (ours(jax.random.key(seed), (8, 8)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert not np.allclose(a, c)
    assert a.dtype == jnp.float32


@pytest.mark.parametrize(
    ("initializer", "variance"),
    [
        (he_normal, 2 / 360),
        (he_uniform, 2 / 360),
        (lecun_normal, 1 / 360),
        (xavier_uniform, 2 / (360 + 450)),
        (xavier_normal, 2 / (360 + 450)),
    ],
)
def test_mean_and_variance_are_those_of_the_paper(initializer, variance):
    values = np.asarray(initializer(KEY, (3, 3, 40, 50)))
    assert abs(values.mean()) < 4 * (variance / values.size) ** 0.5
    np.testing.assert_allclose(values.var(), variance, rtol=0.05)


def test_xavier_is_bounded():
    values = np.abs(xavier_uniform(KEY, (60, 90)))
    bound = (6 / 150) ** 0.5
    assert 0.99 * bound < values.max() <= bound


@pytest.mark.parametrize("shape", [(7, 5), (5, 7), (3, 2, 4, 6), (1, 1, 3, 9)])
def test_orthogonal_columns_or_rows(shape):
    values = np.asarray(orthogonal(KEY, shape))
    assert values.shape == shape
    matrix = values.reshape(-1, shape[-1])
    product = matrix.T @ matrix if len(matrix) >= shape[-1] else matrix @ matrix.T
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-5)


def test_orthogonal_matrices_are_uniform():
    """The first entry of a uniform 3x3 rotation or reflection has mean 0 and variance 1/3."""
    first = jax.vmap(lambda key: orthogonal(key, (3, 3))[0, 0])(jax.random.split(KEY, 4000))
    assert abs(float(first.mean())) < 0.04
    np.testing.assert_allclose(first.var(), 1 / 3, rtol=0.06)


def test_zeros():
    np.testing.assert_array_equal(zeros(KEY, (3,)), [0, 0, 0])


@pytest.mark.parametrize("shape", [(), (3,)])
def test_a_bias_has_no_fans(shape):
    with pytest.raises(ValueError, match="a kernel needs two axes or more"):
        fans(shape)


@pytest.mark.parametrize(("window", "outputs"), [(3, 5), (3, 2), (1, 3)])
def test_a_dirac_kernel_passes_its_input_on(window, outputs):
    kernel = dirac(he_normal)(KEY, (window, window, 3, outputs))
    x = jax.random.normal(KEY, (2, 6, 5, 3))
    y, kept = conv2d(x, kernel), min(3, outputs)
    np.testing.assert_allclose(y[..., :kept], x[..., :kept], atol=1e-6)
    expected = he_normal(KEY, kernel.shape)[..., kept:]
    np.testing.assert_array_equal(kernel[..., kept:], expected)
