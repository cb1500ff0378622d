"""The convolution by tiles of two outputs: the same sums, and where they are chosen."""

import jax
import jax.numpy as jnp
import pytest

from dl_jax.compilation import holds_convolution
from dl_jax.functional import conv2d
from dl_jax.functional.convolution.spec import ConvSpec
from dl_jax.functional.convolution.winograd import (
    MAX_NUMBERS,
    convolve_tiles,
    has_fast_tiles,
    input_gradient_tiles,
    kernel_gradient_tiles,
)
from tests.functional.convolution_reference import close, native, normal

NONE, ONE, SOME = ((0, 0), (0, 0)), ((1, 1), (1, 1)), ((1, 3), (0, 2))


def whole(image=(6, 6), padding=ONE, **other):
    """A 3x3 convolution that makes an output of every pixel."""
    return ConvSpec(image, (3, 3), (1, 1), padding, (1, 1), 1)._replace(**other)


def halved(image=(6, 6), padding=ONE, **other):
    """A 4x4 convolution of stride 2."""
    return ConvSpec(image, (4, 4), (2, 2), padding, (1, 1), 1)._replace(**other)


@pytest.mark.parametrize("images", [2, 0])
@pytest.mark.parametrize(
    "spec",
    [
        whole(),
        whole((5, 4)),  # tiles of one row
        whole((3, 7), NONE),
        whole((4, 5), SOME),
        halved(),
        halved((4, 8)),
        halved((6, 4), NONE),
        halved((4, 6), SOME),
    ],
)
def test_all_three_maps_are_those_of_the_convolution(spec, images):
    x, kernel = normal(0, images, *spec.image, 3), normal(1, *spec.kernel, 3, 5)
    y, gradients = jax.vjp(
        lambda x, k: native(x, k, stride=spec.stride, padding=spec.padding), x, kernel
    )
    g = normal(2, *y.shape)
    actual = jax.jit(
        lambda x, w, g: (
            convolve_tiles(spec, x, w),
            input_gradient_tiles(spec, g, w),
            kernel_gradient_tiles(spec, x, g),
        )
    )(x, kernel, g)
    close(actual, (y, *gradients(g)), 5e-6)


@pytest.mark.parametrize(
    ("spec", "sizes", "dtype", "chosen"),
    [
        (whole(), (4, 128, 128), jnp.float32, True),
        (whole(), (4, 128, 128), jnp.float64, True),
        (whole(), (4, 128, 128), jnp.bfloat16, False),
        (whole(), (4, 127, 128), jnp.float32, False),
        (whole(), (4, 128, 127), jnp.float32, False),
        (whole(), (MAX_NUMBERS // (16 * 9 * 128) + 1, 128, 128), jnp.float32, False),
        (whole(stride=(2, 2)), (4, 128, 128), jnp.float32, False),
        (whole(dilation=(2, 2)), (4, 128, 128), jnp.float32, False),
        (whole(groups=2), (4, 128, 128), jnp.float32, False),
        (whole(kernel=(1, 3)), (4, 128, 128), jnp.float32, False),
        (halved(), (4, 32, 128), jnp.float32, True),
        (halved(), (4, 31, 128), jnp.float32, False),
        (halved((5, 6)), (4, 32, 128), jnp.float32, False),
    ],
)
def test_where_tiles_are_chosen(spec, sizes, dtype, chosen):
    assert has_fast_tiles(spec, *sizes, jnp.dtype(dtype)) is chosen


@pytest.mark.parametrize(("side", "stride", "channels"), [(3, 1, 128), (4, 2, 32)])
def test_conv2d_and_its_gradients_are_by_tiles_where_these_are_fast(side, stride, channels):
    x, kernel = normal(0, 1, 4, 4, channels), normal(1, side, side, channels, 128)

    def score(function):
        return lambda x, k: jnp.sum(jnp.tanh(function(x, k, stride=stride) / 30) ** 2)

    every = jax.value_and_grad(score(conv2d), (0, 1))
    assert not holds_convolution(every, x, kernel)
    assert holds_convolution(every, x[..., :31], kernel[:, :, :31])
    expected = jax.jit(jax.value_and_grad(score(native), (0, 1)))(x, kernel)
    close(jax.jit(every)(x, kernel), expected, 5e-6)


def test_a_batch_may_be_a_symbol():
    """As `jax.export` has it, for a program of any number of images."""
    (batch,) = jax.export.symbolic_shape("b")
    images = jax.ShapeDtypeStruct((batch, 4, 4, 128), jnp.float32)
    kernel = normal(1, 3, 3, 128, 128)
    exported = jax.export.export(jax.jit(lambda x: conv2d(x, kernel)))(images)
    x = normal(0, 2, 4, 4, 128)
    close(exported.call(x), native(x, kernel))
