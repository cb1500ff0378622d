"""Precision: sums, statistics and losses are computed in float32 or wider."""

import jax
import jax.numpy as jnp
from jaxtyping import Inexact, Shaped

from dl_jax.types import Array


def accumulation_dtype(dtype: jnp.dtype) -> jnp.dtype:
    """The type in which numbers of `dtype` are summed: itself, or float32 where that is wider."""
    return jnp.promote_types(dtype, jnp.float32)


def at_least_float32(x: Shaped[Array, "..."]) -> Inexact[jax.Array, "..."]:
    """`x` in float32, or in its own type where that is wider."""
    x = jnp.asarray(x)
    return x.astype(accumulation_dtype(x.dtype))
