"""Indices that are labels or tokens: a negative one is wrong, and not counted from the end."""

import jax
import jax.numpy as jnp
from jaxtyping import Integer

from dl_jax.types import Array


def without_wraparound(
    indices: Integer[Array, "*shape"], length: int
) -> Integer[jax.Array, "*shape"]:
    """`indices` with negative ones replaced by `length`, which is out of bounds."""
    indices = jnp.asarray(indices)
    # First widened: `length` may not fit their type, nor may the largest index.
    indices = indices.astype(jnp.promote_types(indices.dtype, jnp.int32))
    return jnp.where(indices < 0, length, indices)
