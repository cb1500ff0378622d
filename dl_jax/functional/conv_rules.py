"""A convolution as a trilinear form, and its three partial derivatives as one closed family.

For an image `x`, a kernel `w` and an output cotangent `g`, the number `<conv(x, w), g>` is linear
in each of the three. Leaving one of them out gives three bilinear maps:

    convolve(x, w)          -> g-shaped     the convolution
    input_gradient(g, w)    -> x-shaped     its derivative with respect to x, applied to g
    kernel_gradient(x, g)   -> w-shaped     its derivative with respect to w, applied to g

The derivatives of each are the other two, so the family is closed: reverse-mode derivatives of any
order stay inside it, every one of them on whatever path is fastest. Mapping is closed too: `vmap`
over images folds into the batch, and `vmap` over kernels becomes that many calls. The grouped
convolution that JAX makes of it by default costs, on CPU, ten times as much as the calls.

What is given up is forward mode (`jax.jvp`): see docs/decisions/0001-convolution-family.md.
"""

from collections.abc import Callable
from functools import cache
from math import prod
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jaxtyping import Array, Float

from dl_jax.functional.windows import Size

Image = Float[Array, "batch height width in_channels"]
Kernel = Float[Array, "kernel_height kernel_width in_per_group out_channels"]
Output = Float[Array, "batch out_height out_width out_channels"]
Bilinear = Callable[[Array, Array], Array]


class ConvSpec(NamedTuple):
    """All that is static about a convolution: sizes in pixels, `image` and `kernel` unpadded."""

    image: Size
    kernel: Size
    stride: Size
    padding: tuple[Size, Size]
    dilation: Size
    groups: int


class ConvOps(NamedTuple):
    """The three partial derivatives of one trilinear form."""

    convolve: Callable[[Image, Kernel], Output]
    input_gradient: Callable[[Output, Kernel], Image]
    kernel_gradient: Callable[[Image, Output], Kernel]


@cache
def conv_ops(geometry: ConvSpec) -> ConvOps:
    """The closed family of one geometry, ready for `grad` of any order and for `vmap`."""
    base = _direct(geometry)
    convolve = _with_batching_rule(base.convolve, foldable=True)
    input_gradient = _with_batching_rule(base.input_gradient, foldable=True)
    kernel_gradient = _with_batching_rule(base.kernel_gradient, foldable=False)

    # Of <conv(x, w), g>, each map's cotangent stands in the place that the map left out.
    closed = ConvOps(
        _differentiable(
            convolve,
            lambda x, w, g: (closed.input_gradient(g, w), closed.kernel_gradient(x, g)),
        ),
        _differentiable(
            input_gradient,
            lambda g, w, x: (closed.convolve(x, w), closed.kernel_gradient(x, g)),
        ),
        _differentiable(
            kernel_gradient,
            lambda x, g, w: (closed.input_gradient(g, w), closed.convolve(x, w)),
        ),
    )
    return closed


def _differentiable(
    bilinear: Bilinear, cotangents: Callable[[Array, Array, Array], tuple[Array, Array]]
) -> Bilinear:
    """`bilinear`, with the reverse-mode derivative `cotangents(a, b, cotangent)`."""
    function = jax.custom_vjp(bilinear)
    function.defvjp(
        lambda a, b: (function(a, b), (a, b)),
        lambda operands, cotangent: cotangents(operands[0], operands[1], cotangent),
    )
    return function


def _with_batching_rule(bilinear: Bilinear, *, foldable: bool) -> Bilinear:
    """`bilinear`, with a rule for `vmap`: fold a mapped first operand into the batch, else unroll.

    Folding is right where the first operand's batch axis is also the result's (`foldable`).
    """
    function = custom_vmap(bilinear)

    @function.def_vmap
    def rule(axis_size: int, mapped: list[bool], a: Array, b: Array) -> tuple[Array, bool]:
        a_mapped, b_mapped = mapped
        if foldable and a_mapped and not b_mapped:
            folded = function(a.reshape(-1, *a.shape[2:]), b)
            return folded.reshape(axis_size, -1, *folded.shape[1:]), True
        calls = [
            function(a[i] if a_mapped else a, b[i] if b_mapped else b) for i in range(axis_size)
        ]
        return jnp.stack(calls), True

    return function


def _direct(geometry: ConvSpec) -> ConvOps:
    """The three maps computed by XLA's convolution, without rules of ours."""
    # A linear transpose looks at the type of its zeros alone, and under `shard_map` that says along
    # which mesh axes they vary.

    def convolve(x: Image, w: Kernel) -> Output:
        return lax.conv_general_dilated(
            x,
            w,
            window_strides=geometry.stride,
            padding=geometry.padding,
            rhs_dilation=geometry.dilation,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=geometry.groups,
        )

    def input_gradient(g: Output, w: Kernel) -> Image:
        channels = w.shape[2] * geometry.groups
        x = jnp.zeros_like(g, shape=(g.shape[0], *geometry.image, channels))
        return jax.linear_transpose(lambda x: convolve(x, w), x)(g)[0]

    def kernel_gradient(x: Image, g: Output) -> Kernel:
        shape = (*geometry.kernel, x.shape[-1] // geometry.groups, g.shape[-1])
        w = jnp.zeros_like(x, shape=shape)
        return jax.linear_transpose(lambda w: convolve(x, w), w)(g)[0]

    if geometry.groups > 1:
        return ConvOps(convolve, input_gradient, kernel_gradient)
    return ConvOps(
        lambda x, w: (
            _convolve_im2col(geometry, x, w) if _use_im2col(geometry, x) else convolve(x, w)
        ),
        input_gradient,
        lambda x, g: (
            _kernel_gradient_im2col(geometry, x, g)
            if _use_im2col(geometry, x)
            else kernel_gradient(x, g)
        ),
    )


# An image of one to three channels (the first layer) gives a convolution routine too little to
# work on in each pixel. As a matrix product over patches it runs up to seventeen times faster on
# CPU; for wider images and large kernels the patches cost more than they save.
IM2COL_CHANNELS, IM2COL_PATCH = 3, 75


def _use_im2col(geometry: ConvSpec, x: Image) -> bool:
    channels, patch = x.shape[-1], prod(geometry.kernel) * x.shape[-1]
    on_cpu = jax.default_backend() == "cpu"
    return on_cpu and channels <= IM2COL_CHANNELS and patch <= IM2COL_PATCH


def _im2col(geometry: ConvSpec, x: Image) -> Float[Array, "batch out_height out_width patch"]:
    """What each output pixel sees, in the order of the kernel's first three axes."""
    x = jnp.pad(x, ((0, 0), *geometry.padding, (0, 0)))
    taps = geometry.kernel, geometry.dilation
    reach = [(size - 1) * dilation for size, dilation in zip(*taps, strict=True)]
    height, width = (x.shape[axis + 1] - reach[axis] for axis in (0, 1))
    rows, columns = (range(0, reach[axis] + 1, geometry.dilation[axis]) for axis in (0, 1))
    return jnp.concatenate(
        [
            x[:, i : i + height : geometry.stride[0], j : j + width : geometry.stride[1]]
            for i in rows
            for j in columns
        ],
        axis=-1,
    )


def _convolve_im2col(geometry: ConvSpec, x: Image, w: Kernel) -> Output:
    patches = _im2col(geometry, x)  # [B, H', W', kh * kw * C]
    product = jnp.matmul(
        patches.reshape(-1, patches.shape[-1]),
        w.reshape(-1, w.shape[-1]),
        preferred_element_type=jnp.promote_types(x.dtype, jnp.float32),
    )
    return product.astype(x.dtype).reshape(*patches.shape[:3], w.shape[-1])


def _kernel_gradient_im2col(geometry: ConvSpec, x: Image, g: Output) -> Kernel:
    patches = _im2col(geometry, x)  # [B, H', W', kh * kw * C]
    product = jnp.matmul(
        patches.reshape(-1, patches.shape[-1]).T,
        g.reshape(-1, g.shape[-1]),
        preferred_element_type=jnp.promote_types(x.dtype, jnp.float32),
    )
    return product.astype(x.dtype).reshape(*geometry.kernel, x.shape[-1], g.shape[-1])
