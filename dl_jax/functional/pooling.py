"""Pooling: the maximum or the mean over windows of an image."""

from collections.abc import Callable
from functools import reduce
from math import prod

import jax
import jax.numpy as jnp
from jaxtyping import Float

from dl_jax.functional.precision import accumulation_dtype, at_least_float32
from dl_jax.functional.windows import (
    CountOrPair,
    Padding,
    Size,
    as_pair,
    pooled_size,
    resolve_padding,
)
from dl_jax.types import Array

# Each position within a window is one strided slice of the whole image, and the gradient is made of
# slices too: on CPU nine times faster than that of `lax.reduce_window`, and as fast elsewhere.


def _positions(
    x: Float[jax.Array, "batch height width channels"],
    window: Size,
    stride: Size,
    padding: Padding,
    fill: float,
) -> list[Float[jax.Array, "batch out_height out_width channels"]]:
    """Slice `(i, j)` has the element in row i and column j of every window."""
    height, width = x.shape[1:3]
    pads = resolve_padding(padding, (height, width), window, stride)
    if any(pad for pair in pads for pad in pair):
        x = jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=fill)
    out_height, out_width = pooled_size((height, width), window, stride, pads)
    last = (out_height - 1) * stride[0], (out_width - 1) * stride[1]
    return [
        x[
            :,
            i : i + last[0] + 1 : stride[0],
            j : j + last[1] + 1 : stride[1],
        ]
        for i in range(window[0])
        for j in range(window[1])
    ]


def _reduce_windows(
    combine: Callable[[jax.Array, jax.Array], jax.Array],
    x: jax.Array,
    window: CountOrPair,
    stride: CountOrPair | None,
    padding: Padding,
    fill: float,
) -> jax.Array:
    window = as_pair("window", window)
    stride = window if stride is None else as_pair("stride", stride)
    return reduce(combine, _positions(x, window, stride, padding, fill))


def max_pool(
    x: Float[Array, "batch height width channels"],
    window: CountOrPair = 2,
    *,
    stride: CountOrPair | None = None,
    padding: Padding = "VALID",
) -> Float[jax.Array, "batch out_height out_width channels"]:
    """The maximum of each window, `y[b, p, q, c] = max_{i, j} x[b, s p + i, s q + j, c]`.

    Padding is never the maximum. The gradient goes to the first of equal maxima in a window.

    Args:
        x: images.
        window: height and width of the window, in pixels.
        stride: distance between windows; the window itself where None.
        padding: as for `conv2d`.

    Raises:
        ValueError: a window does not fit the padded image, or contains only padding.

    Source: Riesenhuber and Poggio (1999), "Hierarchical models of object recognition in cortex".
    """
    return _reduce_windows(_first_maximum, jnp.asarray(x), window, stride, padding, -jnp.inf)


def avg_pool(
    x: Float[Array, "batch height width channels"],
    window: CountOrPair = 2,
    *,
    stride: CountOrPair | None = None,
    padding: Padding = "VALID",
) -> Float[jax.Array, "batch out_height out_width channels"]:
    """The mean of each window, `y[b, p, q, c] = mean_{i, j} x[b, s p + i, s q + j, c]`.

    Padding counts as zeros. The sum is computed in float32 or wider. Arguments and errors are those
    of `max_pool`.

    Source: LeCun et al. (1990), "Handwritten digit recognition with a back-propagation network".
    """
    x, area = jnp.asarray(x), prod(as_pair("window", window))
    total = _reduce_windows(jnp.add, at_least_float32(x), window, stride, padding, 0.0)
    return (total / area).astype(x.dtype)


def global_avg_pool(
    x: Float[Array, "batch height width channels"],
) -> Float[jax.Array, "batch channels"]:
    """The mean over all pixels of each channel, computed in float32 or wider.

    Source: Lin et al. (2013), arXiv:1312.4400, section 3.2.
    """
    x = jnp.asarray(x)
    return x.mean((1, 2), dtype=accumulation_dtype(x.dtype)).astype(x.dtype)


def global_max_pool(
    x: Float[Array, "batch height width channels"],
) -> Float[jax.Array, "batch channels"]:
    """The maximum over all pixels of each channel; of equal ones the first has the gradient.

    Source: Oquab et al. (2015), "Is object localization for free?", section 3.
    """
    return max_pool(x, (x.shape[1], x.shape[2]))[:, 0, 0]


def _first_maximum(a: jax.Array, b: jax.Array) -> jax.Array:
    """The larger of two, NaN if one is NaN; the gradient goes to `a` where they are equal."""
    return jnp.where((a >= b) | jnp.isnan(a), a, b)
