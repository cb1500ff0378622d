"""Convolution and transposed convolution: one matrix product for each tap of the window."""

import jax.numpy as jnp
from jaxtyping import Float

from dl_jax.backprop.op import Op
from dl_jax.backprop.windows import Images, crop, outputs_of, pad, size_of, taps, window_of
from dl_jax.functional.windows import Padding, Size, as_pair, check_kernel_fits, resolve_padding
from dl_jax.types import Array


def conv2d(stride: int | Size = 1, padding: Padding = "SAME") -> Op:
    """`y = b + sum_ij slice_ij(x) W_ij`, with a matrix `W_ij` `[in, out]` for each tap.

    dx: slice_ij += g W_ij^T        dW_ij = slice_ij^T g        db = sum g
    """
    strides = as_pair("stride", stride)

    def forward(
        x: Images,
        kernel: Float[Array, "kernel_height kernel_width in_channels out_channels"],
        bias: Float[Array, " out_channels"],
    ) -> tuple[Images, tuple[Array, Array, Array]]:
        window = window_of(kernel)
        pads = resolve_padding(padding, size_of(x), window, strides)
        check_kernel_fits(size_of(x), window, pads)
        padded = pad(x, pads)
        outputs = outputs_of(padded, window, strides)
        y = sum(padded[at] @ kernel[i, j] for i, j, at in taps(window, strides, outputs))
        size = jnp.zeros((0, *x.shape[1:]), x.dtype)
        return y + bias.reshape(1, 1, 1, -1), (padded, kernel, size)

    def backward(residuals: tuple[Array, Array, Array], g: Images) -> tuple[Array, Array, Array]:
        padded, kernel, size = residuals
        window = window_of(kernel)
        pads = resolve_padding(padding, size_of(size), window, strides)
        dx, dkernel = jnp.zeros_like(padded), jnp.zeros_like(kernel)
        for i, j, at in taps(window, strides, size_of(g)):
            dx = dx.at[at].add(g @ kernel[i, j].T)
            dkernel = dkernel.at[i, j].set(jnp.einsum("bpqc,bpqo->co", padded[at], g))
        return crop(dx, pads), dkernel, g.sum((0, 1, 2))

    return Op(forward, backward, ("kernel", "bias"))


def conv2d_transpose(stride: int | Size = 1, padding: Padding = "SAME") -> Op:
    """The backward pass of a convolution, used forward: slices are added to, and then read.

        y: slice_ij += x V_ij        dx = sum_ij slice_ij(g) V_ij^T        dV_ij = x^T slice_ij(g)

    with `V_ij = W_{k-1-i, k-1-j}`: the kernel is rotated by 180 degrees, as in Flax and in
    `dl_jax.functional.conv2d_transpose`.
    """
    strides = as_pair("stride", stride)

    def frame(size: Size, window: Size) -> tuple[Size, tuple[Size, Size]]:
        """Size of the padded output, and what is cropped from it."""
        if padding == "SAME":
            whole = size[0] * strides[0], size[1] * strides[1]
            pads = resolve_padding("SAME", whole, window, strides)
        else:
            pads = resolve_padding(padding, size, window, strides)
        reach = [(n - 1) * s + w for n, s, w in zip(size, strides, window, strict=True)]
        if isinstance(padding, str):  # a stride larger than the window leaves a margin
            reach = [max(r, n * s) for r, n, s in zip(reach, size, strides, strict=True)]
        return (reach[0], reach[1]), pads

    def forward(
        x: Images,
        kernel: Float[Array, "kernel_height kernel_width in_channels out_channels"],
        bias: Float[Array, " out_channels"],
    ) -> tuple[Images, tuple[Array, Array]]:
        rotated = kernel[::-1, ::-1]
        window, size = window_of(kernel), size_of(x)
        whole, pads = frame(size, window)
        y = jnp.zeros((x.shape[0], *whole, kernel.shape[-1]), x.dtype)
        for i, j, at in taps(window, strides, size):
            y = y.at[at].add(x @ rotated[i, j])
        return crop(y, pads) + bias.reshape(1, 1, 1, -1), (x, rotated)

    def backward(residuals: tuple[Array, Array], g: Images) -> tuple[Array, Array, Array]:
        x, rotated = residuals
        window, size = window_of(rotated), size_of(x)
        padded = pad(g, frame(size, window)[1])
        dx, drotated = jnp.zeros_like(x), jnp.zeros_like(rotated)
        for i, j, at in taps(window, strides, size):
            dx = dx + padded[at] @ rotated[i, j].T
            drotated = drotated.at[i, j].set(jnp.einsum("bpqc,bpqo->co", x, padded[at]))
        return dx, drotated[::-1, ::-1], g.sum((0, 1, 2))

    return Op(forward, backward, ("kernel", "bias"))
