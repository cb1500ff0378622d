"""Pooling: the maximum or the mean over the taps of a window."""

import jax.numpy as jnp

from dl_jax.backprop.op import Op
from dl_jax.backprop.windows import Images, crop, pad, size_of, taps
from dl_jax.functional.windows import Padding, Size, as_pair, pooled_size, resolve_padding
from dl_jax.types import Array


def max_pool(
    window: int | Size = 2, stride: int | Size | None = None, padding: Padding = "VALID"
) -> Op:
    """The largest tap of each window; `g` goes to that tap alone (the first of equals)."""
    size = as_pair("window", window)
    strides = size if stride is None else as_pair("stride", stride)

    def forward(x: Images) -> tuple[Images, tuple[Array, Array]]:
        pads = resolve_padding(padding, size_of(x), size, strides)
        outputs = pooled_size(size_of(x), size, strides, pads)
        padded = pad(x, pads, -jnp.inf)
        seen = jnp.stack([padded[at] for _, _, at in taps(size, strides, outputs)])
        return seen.max(0), (seen.argmax(0), jnp.zeros((0, *x.shape[1:]), x.dtype))

    def backward(residuals: tuple[Array, Array], g: Images) -> tuple[Array]:
        largest, example = residuals
        pads = resolve_padding(padding, size_of(example), size, strides)
        dx = pad(jnp.zeros((g.shape[0], *example.shape[1:]), g.dtype), pads)
        for tap, (_, _, at) in enumerate(taps(size, strides, size_of(g))):
            dx = dx.at[at].add(jnp.where(largest == tap, g, 0))
        return (crop(dx, pads),)

    return Op(forward, backward)


def avg_pool(
    window: int | Size = 2, stride: int | Size | None = None, padding: Padding = "VALID"
) -> Op:
    """The mean of each window, padding counted as zeros; `g` is divided equally among the taps."""
    size = as_pair("window", window)
    strides = size if stride is None else as_pair("stride", stride)
    area = size[0] * size[1]

    def forward(x: Images) -> tuple[Images, Array]:
        pads = resolve_padding(padding, size_of(x), size, strides)
        outputs = pooled_size(size_of(x), size, strides, pads)
        padded = pad(x, pads)
        seen = [padded[at] for _, _, at in taps(size, strides, outputs)]
        return sum(seen[1:], seen[0]) / area, jnp.zeros((0, *x.shape[1:]), x.dtype)

    def backward(example: Array, g: Images) -> tuple[Array]:
        pads = resolve_padding(padding, size_of(example), size, strides)
        dx = pad(jnp.zeros((g.shape[0], *example.shape[1:]), g.dtype), pads)
        for _, _, at in taps(size, strides, size_of(g)):
            dx = dx.at[at].add(g / area)
        return (crop(dx, pads),)

    return Op(forward, backward)
