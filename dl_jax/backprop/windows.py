"""Convolution and pooling, tap by tap.

A window of k x k pixels has k^2 taps. Tap (i, j) of all windows together is one strided slice of
the padded image: `slice_ij[b, p, q] = x[b, s p + i, s q + j]`. Forward, slices are read; backward,
the same slices are added to. With that, a convolution is k^2 matrix products, and each of
its derivatives is the same products with another operand taken out.
"""

from collections.abc import Iterator

import jax.numpy as jnp
from jaxtyping import Array, Float

from dl_jax.backprop.pair import Pair
from dl_jax.functional.windows import Padding, as_pair, resolve_padding
from dl_jax.functional.windows import Pair as Size

Images = Float[Array, "_ _ _ _"]  # [batch, height, width, channels]
Slices = tuple[slice, slice, slice]


def _size(x: Array) -> Size:
    return x.shape[1], x.shape[2]


def _window(kernel: Array) -> Size:
    return kernel.shape[0], kernel.shape[1]


def _taps(window: Size, stride: Size, outputs: Size) -> Iterator[tuple[int, int, Slices]]:
    """Each tap of the window, with its slice of the padded image."""
    for i in range(window[0]):
        for j in range(window[1]):
            rows = slice(i, i + (outputs[0] - 1) * stride[0] + 1, stride[0])
            columns = slice(j, j + (outputs[1] - 1) * stride[1] + 1, stride[1])
            yield i, j, (slice(None), rows, columns)


def _outputs(padded: Images, window: Size, stride: Size) -> Size:
    height, width = _size(padded)
    return (height - window[0]) // stride[0] + 1, (width - window[1]) // stride[1] + 1


def _pad(x: Images, pads: tuple[Size, Size], value: float = 0.0) -> Images:
    return jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=value)


def _crop(x: Images, pads: tuple[Size, Size]) -> Images:
    (top, bottom), (left, right) = pads
    return x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]


def conv2d(stride: int | Size = 1, padding: Padding = "SAME") -> Pair:
    """`y = b + sum_ij slice_ij(x) W_ij`, with a matrix `W_ij` `[in, out]` for each tap.

    dx: slice_ij += g W_ij^T        dW_ij = slice_ij^T g        db = sum g
    """
    strides = as_pair("stride", stride)

    def forward(
        x: Images,
        kernel: Float[Array, "kernel_height kernel_width in_channels out_channels"],
        bias: Float[Array, " out_channels"],
    ) -> tuple[Images, tuple[Array, Array, Array]]:
        window = _window(kernel)
        padded = _pad(x, resolve_padding(padding, _size(x), window, strides))
        outputs = _outputs(padded, window, strides)
        y = sum(padded[at] @ kernel[i, j] for i, j, at in _taps(window, strides, outputs))
        size = jnp.zeros((0, *x.shape[1:]), x.dtype)
        return y + bias.reshape(1, 1, 1, -1), (padded, kernel, size)

    def backward(residuals: tuple[Array, Array, Array], g: Images) -> tuple[Array, Array, Array]:
        padded, kernel, size = residuals
        window = _window(kernel)
        pads = resolve_padding(padding, _size(size), window, strides)
        dx, dkernel = jnp.zeros_like(padded), jnp.zeros_like(kernel)
        for i, j, at in _taps(window, strides, _size(g)):
            dx = dx.at[at].add(g @ kernel[i, j].T)
            dkernel = dkernel.at[i, j].set(jnp.einsum("bpqc,bpqo->co", padded[at], g))
        return _crop(dx, pads), dkernel, g.sum((0, 1, 2))

    return Pair(forward, backward, ("kernel", "bias"))


def conv2d_transpose(stride: int | Size = 1, padding: Padding = "SAME") -> Pair:
    """The way back of a convolution, taken forward: slices are added to, and then read.

        y: slice_ij += x V_ij        dx = sum_ij slice_ij(g) V_ij^T        dV_ij = x^T slice_ij(g)

    with `V_ij = W_{k-1-i, k-1-j}`: the kernel is turned by 180 degrees, as Flax and
    `dl_jax.functional.conv2d_transpose` have it.
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
        turned = kernel[::-1, ::-1]
        window, size = _window(kernel), _size(x)
        whole, pads = frame(size, window)
        y = jnp.zeros((x.shape[0], *whole, kernel.shape[-1]), x.dtype)
        for i, j, at in _taps(window, strides, size):
            y = y.at[at].add(x @ turned[i, j])
        return _crop(y, pads) + bias.reshape(1, 1, 1, -1), (x, turned)

    def backward(residuals: tuple[Array, Array], g: Images) -> tuple[Array, Array, Array]:
        x, turned = residuals
        window, size = _window(turned), _size(x)
        padded = _pad(g, frame(size, window)[1])
        dx, dturned = jnp.zeros_like(x), jnp.zeros_like(turned)
        for i, j, at in _taps(window, strides, size):
            dx = dx + padded[at] @ turned[i, j].T
            dturned = dturned.at[i, j].set(jnp.einsum("bpqc,bpqo->co", x, padded[at]))
        return dx, dturned[::-1, ::-1], g.sum((0, 1, 2))

    return Pair(forward, backward, ("kernel", "bias"))


def max_pool(
    window: int | Size = 2, stride: int | Size | None = None, padding: Padding = "VALID"
) -> Pair:
    """The largest tap of each window; `g` goes to that tap alone (the first of equals)."""
    size = as_pair("window", window)
    strides = size if stride is None else as_pair("stride", stride)

    def forward(x: Images) -> tuple[Images, tuple[Array, Array]]:
        padded = _pad(x, resolve_padding(padding, _size(x), size, strides), -jnp.inf)
        outputs = _outputs(padded, size, strides)
        taps = jnp.stack([padded[at] for _, _, at in _taps(size, strides, outputs)])
        return taps.max(0), (taps.argmax(0), jnp.zeros((0, *x.shape[1:]), x.dtype))

    def backward(residuals: tuple[Array, Array], g: Images) -> tuple[Array]:
        winner, example = residuals
        pads = resolve_padding(padding, _size(example), size, strides)
        dx = _pad(jnp.zeros((g.shape[0], *example.shape[1:]), g.dtype), pads)
        for tap, (_, _, at) in enumerate(_taps(size, strides, _size(g))):
            dx = dx.at[at].add(jnp.where(winner == tap, g, 0))
        return (_crop(dx, pads),)

    return Pair(forward, backward)


def avg_pool(
    window: int | Size = 2, stride: int | Size | None = None, padding: Padding = "VALID"
) -> Pair:
    """The mean of each window, padding counted as zeros; `g` is shared equally by the taps."""
    size = as_pair("window", window)
    strides = size if stride is None else as_pair("stride", stride)
    area = size[0] * size[1]

    def forward(x: Images) -> tuple[Images, Array]:
        padded = _pad(x, resolve_padding(padding, _size(x), size, strides))
        outputs = _outputs(padded, size, strides)
        taps = [padded[at] for _, _, at in _taps(size, strides, outputs)]
        return sum(taps[1:], taps[0]) / area, jnp.zeros((0, *x.shape[1:]), x.dtype)

    def backward(example: Array, g: Images) -> tuple[Array]:
        pads = resolve_padding(padding, _size(example), size, strides)
        dx = _pad(jnp.zeros((g.shape[0], *example.shape[1:]), g.dtype), pads)
        for _, _, at in _taps(size, strides, _size(g)):
            dx = dx.at[at].add(g / area)
        return (_crop(dx, pads),)

    return Pair(forward, backward)
