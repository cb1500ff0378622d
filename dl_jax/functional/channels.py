"""Sums over everything but the channels, and their transpose: a vector spread over everything else.

On CPU, XLA sums `[rows, channels]` over its rows on one thread and a few numbers at a time, twelve
times slower than memory allows. In two steps, first over blocks of rows side by side, `[rows / w,
w * channels]`, and then over those in a block, `[w, channels]`, it does not. Biases, scales and
statistics of normalization all are such sums, forward or in their gradients.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Inexact, Shaped

from dl_jax.compilation import sums_rows_slowly
from dl_jax.functional.precision import at_least_float32
from dl_jax.types import Array

MOST_SIDE_BY_SIDE = 16384
"""Numbers in a row of blocks."""
FEWEST = 2**18
"""Numbers from which on two steps are faster than one."""


def sum_to_channels(
    x: Inexact[Array, "*rows channels"],
) -> Inexact[jax.Array, " channels"]:
    """The sum over all axes but the last."""
    x = jnp.asarray(x)
    channels = x.shape[-1]
    rows = x.size // max(1, channels)
    width = _rows_side_by_side(rows, channels)
    if width == 1:
        return x.sum(tuple(range(x.ndim - 1)))
    blocks = x.reshape(rows // width, width * channels).sum(0)
    return lax.optimization_barrier(blocks).reshape(width, channels).sum(0)


def spread_channels(
    vector: Shaped[Array, " channels"], x: Shaped[Array, "*rows channels"]
) -> Shaped[jax.Array, "*rows channels"]:
    """A vector along the last axis of `x`, in the shape and the type of `x`.

    Its transpose, which is the gradient of a bias, is `sum_to_channels` in float32 or wider: each
    of the two steps is that of the sum, backwards.
    """
    vector = at_least_float32(vector)  # the sum of its gradient is made in this type
    channels = vector.shape[0]
    rows = x.size // max(1, channels)
    width = _rows_side_by_side(rows, channels)
    if width == 1:
        spread = jnp.broadcast_to(vector.reshape(*[1] * (x.ndim - 1), channels), x.shape)
        return spread.astype(x.dtype)
    block = jnp.broadcast_to(vector[None], (width, channels)).reshape(1, width * channels)
    spread = jnp.broadcast_to(lax.optimization_barrier(block), (rows // width, width * channels))
    return spread.reshape(x.shape).astype(x.dtype)


def _rows_side_by_side(rows: int, channels: int) -> int:
    """How many rows the first step takes side by side: a power of two that divides their number."""
    width = 1
    if rows * channels < FEWEST or not sums_rows_slowly():
        return width
    while rows % (2 * width) == 0 and 2 * width * channels <= MOST_SIDE_BY_SIDE:
        width *= 2
    return width
