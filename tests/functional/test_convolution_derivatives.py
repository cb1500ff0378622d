"""Derivatives of the convolution beyond the first, against those of XLA's own."""

import jax
import jax.numpy as jnp
import pytest

from dl_jax.functional import conv2d
from tests.functional.convolution_reference import close, native, normal


@pytest.mark.parametrize(
    ("channels", "options"),
    [
        (3, {"stride": 2, "padding": 1}),  # the path of patches
        (1, {"dilation": 2}),
        (4, {"stride": (1, 2), "dilation": (2, 1)}),
        (4, {"groups": 2}),
    ],
)
def test_second_derivatives(channels, options):
    """Of all four pairs of operands: the gradient of the gradient along a direction."""
    x, kernel = (
        normal(0, 2, 6, 5, channels),
        normal(1, 3, 3, channels // options.get("groups", 1), 4),
    )
    directions = normal(2, *x.shape), normal(3, *kernel.shape)

    def along(function):
        def scalar(x, kernel):
            return jnp.sum(jnp.tanh(function(x, kernel, **options)) ** 2)

        def slope(x, kernel):
            gradients = jax.grad(scalar, (0, 1))(x, kernel)
            return sum(jnp.vdot(g, d) for g, d in zip(gradients, directions, strict=True))

        return jax.jit(jax.grad(slope, (0, 1)))(x, kernel)

    close(along(conv2d), along(native), 5e-5)


def test_third_derivative():
    x, kernel = normal(0, 1, 4, 4, 2), normal(1, 2, 2, 2, 2)

    def third(function):
        def scalar(kernel):
            return jnp.sum(jnp.tanh(function(x, kernel)) ** 3)

        def second(kernel):
            return jnp.sum(jax.grad(scalar)(kernel) ** 2)

        return jax.jit(jax.grad(lambda k: jnp.sum(jax.grad(second)(k) ** 2)))(kernel)

    close(third(conv2d), third(native), 1e-4)


def test_gradient_of_a_gradient_penalty():
    """As a WGAN-GP critic takes it: Gulrajani et al. (2017), equation 3."""
    x = normal(0, 3, 8, 8, 3)
    kernels = normal(1, 4, 4, 3, 4), normal(2, 4, 4, 4, 1)

    def penalty(function):
        def critic(kernels, x):
            h = function(x, kernels[0], stride=2)
            return jnp.sum(function(jnp.where(h > 0, h, 0.2 * h), kernels[1], stride=2))

        def of(kernels):
            gradients = jax.grad(critic, 1)(kernels, x)
            norms = jnp.sqrt(jnp.sum(gradients**2, (1, 2, 3)))
            return jnp.mean((norms - 1) ** 2)

        return jax.jit(jax.value_and_grad(of))(kernels)

    actual, expected = penalty(conv2d), penalty(native)
    close(actual, expected, 5e-5)
    assert min(float(jnp.abs(g).max()) for g in actual[1]) > 0
