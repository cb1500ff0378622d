"""A convolution and its two gradients, each with the other two as its derivatives.

For an image `x`, a kernel `w` and an output cotangent `g`, the number `<conv(x, w), g>` is linear
in each of the three: it is a trilinear form. Its partial derivatives are three bilinear maps:

    convolve(x, w)          -> g-shaped     the convolution
    input_gradient(g, w)    -> x-shaped     its derivative with respect to x, applied to g
    kernel_gradient(x, g)   -> w-shaped     its derivative with respect to w, applied to g

The derivatives of each are the other two, so reverse-mode derivatives of any order are made of
these three maps, each computed on the fastest path. So is `vmap`: over images it folds into the
batch, and over kernels it becomes one call for each. The grouped convolution that JAX makes of it
by default costs ten times as much as these calls on CPU.

The price is forward mode (`jax.jvp`): see docs/decisions/0001-convolution-family.md.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap

from dl_jax.functional.convolution.blocks import convolve_blocks, has_fast_blocks
from dl_jax.functional.convolution.patches import (
    convolve_patches,
    has_fast_patches,
    kernel_gradient_patches,
)
from dl_jax.functional.convolution.spec import ConvSpec, Image, Kernel, Output
from dl_jax.functional.convolution.winograd import (
    convolve_tiles,
    has_fast_tiles,
    input_gradient_tiles,
    kernel_gradient_tiles,
)

Bilinear = Callable[[jax.Array, jax.Array], jax.Array]


class ConvOps(NamedTuple):
    """The three partial derivatives of the trilinear form."""

    convolve: Callable[[Image, Kernel], Output]
    input_gradient: Callable[[Output, Kernel], Image]
    kernel_gradient: Callable[[Image, Output], Kernel]


@cache
def conv_ops(spec: ConvSpec) -> ConvOps:
    """The three maps of one convolution, with rules for `grad` of any order and for `vmap`."""
    base = _direct(spec)
    convolve = _with_batching_rule(base.convolve, foldable=True)
    input_gradient = _with_batching_rule(base.input_gradient, foldable=True)
    kernel_gradient = _with_batching_rule(base.kernel_gradient, foldable=False)

    # The cotangent of each map stands for the operand of <conv(x, w), g> that the map leaves out.
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
    bilinear: Bilinear,
    cotangents: Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]],
) -> Bilinear:
    """`bilinear`, with the reverse-mode derivative `cotangents(a, b, cotangent)`."""
    function = jax.custom_vjp(bilinear)
    function.defvjp(
        lambda a, b: (function(a, b), (a, b)),
        lambda operands, cotangent: cotangents(operands[0], operands[1], cotangent),
    )
    return function


def _with_batching_rule(bilinear: Bilinear, *, foldable: bool) -> Bilinear:
    """`bilinear`, with a rule for `vmap`: fold a mapped first operand into the batch, or unroll.

    Folding requires that the batch axis of the first operand is that of the result (`foldable`).
    """
    function = custom_vmap(bilinear)

    @function.def_vmap
    def rule(
        axis_size: int, mapped: list[bool], a: jax.Array, b: jax.Array
    ) -> tuple[jax.Array, bool]:
        a_mapped, b_mapped = mapped
        if foldable and a_mapped and not b_mapped:
            folded = function(a.reshape(-1, *a.shape[2:]), b)
            return folded.reshape(axis_size, -1, *folded.shape[1:]), True
        calls = [
            function(a[i] if a_mapped else a, b[i] if b_mapped else b) for i in range(axis_size)
        ]
        return jnp.stack(calls), True

    return function


def _direct(spec: ConvSpec) -> ConvOps:
    """The three maps, computed on the fastest path, without rules of their own."""
    # `linear_transpose` uses only the type of its zeros; under `shard_map` the type includes the
    # mesh axes along which they vary, hence `zeros_like`.

    def convolve(x: Image, w: Kernel) -> Output:
        return lax.conv_general_dilated(
            x,
            w,
            window_strides=spec.stride,
            padding=spec.padding,
            rhs_dilation=spec.dilation,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=spec.groups,
        )

    def transposed(forward: Callable[[Image, Kernel], Output], g: Output, w: Kernel) -> Image:
        x = jnp.zeros_like(g, shape=(g.shape[0], *spec.image, w.shape[2] * spec.groups))
        return jax.linear_transpose(lambda x: forward(x, w), x)(g)[0]

    def input_gradient(g: Output, w: Kernel) -> Image:
        return transposed(convolve, g, w)

    def kernel_gradient(x: Image, g: Output) -> Kernel:
        shape = (*spec.kernel, x.shape[-1] // spec.groups, g.shape[-1])
        w = jnp.zeros_like(x, shape=shape)
        return jax.linear_transpose(lambda w: convolve(x, w), w)(g)[0]

    if spec.groups > 1 or jax.default_backend() != "cpu":
        return ConvOps(convolve, input_gradient, kernel_gradient)

    def fast_convolve(x: Image, w: Kernel) -> Output:
        if has_fast_tiles(spec, x.shape[0], x.shape[-1], w.shape[-1], x.dtype):
            return convolve_tiles(spec, x, w)
        if has_fast_patches(spec, x.shape[-1]):
            return convolve_patches(spec, x, w)
        return convolve(x, w)

    def fast_input_gradient(g: Output, w: Kernel) -> Image:
        channels = w.shape[2]
        if has_fast_tiles(spec, g.shape[0], channels, g.shape[-1], g.dtype):
            return input_gradient_tiles(spec, g, w)
        if not has_fast_blocks(spec, channels):
            return input_gradient(g, w)
        by_blocks = convolve_patches if has_fast_patches(spec, channels) else convolve_blocks
        return transposed(partial(by_blocks, spec), g, w)

    def fast_kernel_gradient(x: Image, g: Output) -> Kernel:
        if has_fast_tiles(spec, x.shape[0], x.shape[-1], g.shape[-1], x.dtype):
            return kernel_gradient_tiles(spec, x, g)
        if has_fast_patches(spec, x.shape[-1]):
            return kernel_gradient_patches(spec, x, g)
        return kernel_gradient(x, g)

    return ConvOps(fast_convolve, fast_input_gradient, fast_kernel_gradient)
