"""Convolutions of images with few channels as products of patches and kernels (im2col).

With one to three channels (the first layer of a network, and the last of a generator) a convolution
routine has little work for each pixel: on CPU, products over patches run up to seventeen times
faster. With more channels or large kernels the patches cost more than they save. Where a
convolution has 2x2 `blocks`, their patches are four whole slices.
"""

from math import prod

import jax
import jax.numpy as jnp
from jaxtyping import Float

from dl_jax.functional.convolution.blocks import (
    halves,
    image_blocks,
    kernel_blocks,
    kernel_of_blocks,
)
from dl_jax.functional.convolution.spec import ConvSpec, Image, Kernel, Output
from dl_jax.functional.precision import accumulation_dtype

MAX_CHANNELS, MAX_PATCH = 3, 75


def has_fast_patches(spec: ConvSpec, channels: int) -> bool:
    """Whether the convolution and its kernel gradient are faster as products of patches.

    So is the gradient of the image, if it `has_fast_blocks` too.
    """
    return channels <= MAX_CHANNELS and prod(spec.kernel) * channels <= MAX_PATCH


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
    if halves(spec):
        x, kernel, stride, dilation = image_blocks(spec, x), (2, 2), (1, 1), (1, 1)
    else:
        x = spec.pad(x)
        kernel, stride, dilation = spec.kernel, spec.stride, spec.dilation
    reach = [(size - 1) * step for size, step in zip(kernel, dilation, strict=True)]
    height, width = (x.shape[axis + 1] - reach[axis] for axis in (0, 1))
    rows, columns = (range(0, reach[axis] + 1, dilation[axis]) for axis in (0, 1))
    taps = [(slice(i, i + height, stride[0]), slice(j, j + width, stride[1]))
            for i in rows for j in columns]  # fmt: skip
    return jnp.concatenate([x[:, down, across] for down, across in taps], axis=-1)


def _as_matrix(spec: ConvSpec, w: Kernel) -> Float[jax.Array, "patch out_channels"]:
    w = kernel_blocks(w) if halves(spec) else w
    return w.reshape(-1, w.shape[-1])


def _as_kernel(
    spec: ConvSpec, matrix: Float[jax.Array, "patch out_channels"], channels: int
) -> Kernel:
    """The inverse of `_as_matrix`."""
    if halves(spec):
        return kernel_of_blocks(matrix.reshape(2, 2, -1, matrix.shape[-1]))
    return matrix.reshape(*spec.kernel, channels, matrix.shape[-1])


def _product(a: Float[jax.Array, "n k"], b: Float[jax.Array, "k m"]) -> Float[jax.Array, "n m"]:
    product = jnp.matmul(a, b, preferred_element_type=accumulation_dtype(a.dtype))
    return product.astype(a.dtype)
