"""Broadcasting written out: how arrays of different shapes are brought to one shape."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Shaped

from dl_jax.functional.precision import accumulation_dtype
from dl_jax.types import Array


def broadcast_shapes(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape that arrays of these shapes broadcast to.

    Shapes are aligned at their last axes; an axis that is missing or of length 1 is stretched to
    the length of the others.

    >>> broadcast_shapes((8, 1, 6), (7, 1))
    (8, 7, 6)

    Raises:
        ValueError: two shapes have different lengths in an axis, and neither is 1.
    """
    rank = max((len(shape) for shape in shapes), default=0)
    result = [1] * rank
    source: list[Sequence[int]] = [()] * rank  # the shape that each length was taken from
    for shape in shapes:
        for axis, length in enumerate(shape, start=rank - len(shape)):
            if length == 1 or length == result[axis]:
                continue
            if result[axis] != 1:
                raise ValueError(
                    f"shapes {tuple(source[axis])} and {tuple(shape)} cannot be broadcast: their "
                    f"axes {axis - rank} have lengths {result[axis]} and {length}, and neither is 1"
                )
            result[axis], source[axis] = length, shape
    return tuple(result)


def broadcast_tensors(*arrays: Shaped[Array, "..."]) -> tuple[Shaped[jax.Array, "..."], ...]:
    """All arrays, stretched to the shape that they broadcast to.

    Raises:
        ValueError: as `broadcast_shapes`.
    """
    shape = broadcast_shapes(*(array.shape for array in arrays))
    return tuple(_stretched(array, shape) for array in arrays)


def expand_as(x: Shaped[Array, "..."], like: Shaped[Array, "..."]) -> Shaped[jax.Array, "..."]:
    """`x` stretched to the shape of `like`; its gradient is the sum over the stretched axes.

    Raises:
        ValueError: an axis of `x` is neither 1 nor that of `like`, or `x` has more axes.
    """
    shape = tuple(like.shape)
    if len(x.shape) > len(shape):
        raise ValueError(
            f"an array of shape {x.shape} cannot be expanded to {shape}, which has fewer axes"
        )
    offset = len(shape) - len(x.shape)
    for axis, length in enumerate(x.shape):
        if length not in (1, shape[offset + axis]):
            raise ValueError(
                f"an array of shape {x.shape} cannot be expanded to {shape}: its axis {axis} has "
                f"length {length}, expected 1 or {shape[offset + axis]}"
            )
    return _stretched(x, shape)


def _stretched(x: Array, shape: tuple[int, ...]) -> jax.Array:
    # The gradient is a sum, which stops growing early in 16 bits: it is computed in float32.
    x = jnp.asarray(x)
    floating = jnp.issubdtype(x.dtype, jnp.floating)
    wide = accumulation_dtype(x.dtype) if floating else x.dtype
    aligned = x.reshape(*[1] * (len(shape) - x.ndim), *x.shape).astype(wide)
    return lax.broadcast_in_dim(aligned, shape, tuple(range(len(shape)))).astype(x.dtype)
