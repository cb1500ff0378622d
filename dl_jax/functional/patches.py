"""Convolutions of images with few channels as products of patches and kernels.

With one to three channels (the first layer of a network, and the last of a generator) a convolution
routine has little work for each pixel: on CPU, products over patches (im2col) run up to seventeen
times faster. With more channels or large kernels the patches cost more than they save. A kernel of
4x4 with stride 2, of which networks that generate images consist, is one of 2x2 with stride 1 on an
image of half the size whose pixels are the blocks of 2x2 (space to depth). Its patches are four
whole slices. With more channels the gradient of the image of blocks is up to 1.7 times as fast as
that of the image itself: there the routine multiplies the zeros that a stride leaves between the
numbers of a cotangent, three for each.
"""

from math import prod
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from dl_jax.functional.precision import accumulation_dtype
from dl_jax.functional.windows import Size

MAX_CHANNELS, MAX_PATCH = 3, 75
MAX_BLOCK_CHANNELS = 64
"""As measured in whole networks: docs/decisions/0008-games.md."""
Image = Float[jax.Array, "batch height width in_channels"]
Kernel = Float[jax.Array, "kernel_height kernel_width in_channels out_channels"]
Output = Float[jax.Array, "batch out_height out_width out_channels"]


class ConvSpec(NamedTuple):
    """Static properties of a convolution; `image` and `kernel` are sizes in pixels, unpadded."""

    image: Size
    kernel: Size
    stride: Size
    padding: tuple[Size, Size]
    dilation: Size
    groups: int


def has_fast_patches(spec: ConvSpec, channels: int) -> bool:
    """Whether the convolution and its kernel gradient are faster as products of patches.

    So is the gradient of the image, if it `has_fast_blocks` too.
    """
    return channels <= MAX_CHANNELS and prod(spec.kernel) * channels <= MAX_PATCH


def halves(spec: ConvSpec) -> bool:
    """Whether it is a 4x4 convolution of stride 2 whose padded image consists of 2x2 blocks."""
    padded = [size + sum(pad) for size, pad in zip(spec.image, spec.padding, strict=True)]
    return (
        (spec.kernel, spec.stride, spec.dilation) == ((4, 4), (2, 2), (1, 1))
        and all(size % 2 == 0 for size in padded)
        and min(p for pad in spec.padding for p in pad) >= 0
    )


def has_fast_blocks(spec: ConvSpec, channels: int) -> bool:
    """Whether the gradient of the image is faster as that of an image of 2x2 blocks."""
    return halves(spec) and channels <= MAX_BLOCK_CHANNELS


def convolve_blocks(spec: ConvSpec, x: Image, w: Kernel) -> Output:
    """The convolution, where it halves the image, by a routine of the image's blocks."""
    return lax.conv_general_dilated(
        _blocks(jnp.pad(x, ((0, 0), *spec.padding, (0, 0)))),
        _as_matrix(spec, w).reshape(2, 2, -1, w.shape[-1]),
        window_strides=(1, 1),
        padding="VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def convolve_patches(spec: ConvSpec, x: Image, w: Kernel) -> Output:
    """The convolution."""
    patches = _patches(spec, x)
    y = _product(patches.reshape(-1, patches.shape[-1]), _as_matrix(spec, w))
    return y.reshape(*patches.shape[:3], w.shape[-1])


def kernel_gradient_patches(spec: ConvSpec, x: Image, g: Output) -> Kernel:
    """Its derivative with respect to the kernel, applied to `g`."""
    patches = _patches(spec, x)
    matrix = _product(patches.reshape(-1, patches.shape[-1]).T, g.reshape(-1, g.shape[-1]))
    return _as_kernel(spec, matrix, x.shape[-1])


def _patches(spec: ConvSpec, x: Image) -> Float[jax.Array, "batch out_height out_width patch"]:
    """What each output pixel sees, in the order of the rows of `_as_matrix`."""
    x = jnp.pad(x, ((0, 0), *spec.padding, (0, 0)))
    if halves(spec):
        x = _blocks(x)
        kernel, stride, dilation = (2, 2), (1, 1), (1, 1)
    else:
        kernel, stride, dilation = spec.kernel, spec.stride, spec.dilation
    reach = [(size - 1) * step for size, step in zip(kernel, dilation, strict=True)]
    height, width = (x.shape[axis + 1] - reach[axis] for axis in (0, 1))
    rows, columns = (range(0, reach[axis] + 1, dilation[axis]) for axis in (0, 1))
    taps = [(slice(i, i + height, stride[0]), slice(j, j + width, stride[1]))
            for i in rows for j in columns]  # fmt: skip
    return jnp.concatenate([x[:, down, across] for down, across in taps], axis=-1)


def _blocks(x: Image) -> Float[jax.Array, "batch half_height half_width block"]:
    """Blocks of 2x2 pixels as pixels."""
    batch, height, width, channels = x.shape
    blocks = x.reshape(batch, height // 2, 2, width // 2, 2, channels).swapaxes(2, 3)
    return blocks.reshape(batch, height // 2, width // 2, 4 * channels)


def _as_matrix(spec: ConvSpec, w: Kernel) -> Float[jax.Array, "patch out_channels"]:
    if halves(spec):  # [block row, row in it, block column, column in it, ...]
        w = w.reshape(2, 2, 2, 2, *w.shape[2:]).swapaxes(1, 2)
    return w.reshape(-1, w.shape[-1])


def _as_kernel(
    spec: ConvSpec, matrix: Float[jax.Array, "patch out_channels"], channels: int
) -> Kernel:
    """The inverse of `_as_matrix`."""
    shape = (*spec.kernel, channels, matrix.shape[-1])
    if halves(spec):
        matrix = matrix.reshape(2, 2, 2, 2, *shape[2:]).swapaxes(1, 2)
    return matrix.reshape(shape)


def _product(a: Float[jax.Array, "n k"], b: Float[jax.Array, "k m"]) -> Float[jax.Array, "n m"]:
    product = jnp.matmul(a, b, preferred_element_type=accumulation_dtype(a.dtype))
    return product.astype(a.dtype)
