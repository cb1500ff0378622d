"""Dropout."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from dl_jax.concrete import check_concrete
from dl_jax.types import Array, PRNGKey, Scalar


def dropout(x: Float[Array, "..."], rate: Scalar, *, key: PRNGKey) -> Float[jax.Array, "..."]:
    """Set each element to zero with probability `rate`, and scale the others by `1 / (1 - rate)`.

    Args:
        x: activations of any shape.
        rate: probability of dropping, in [0, 1); it may be traced, so that a sweep can map over it.
        key: consumed here.

    Raises:
        UsageError: a concrete `rate` is outside [0, 1).

    Source: Srivastava et al. (2014), "Dropout: a simple way to prevent neural networks from
    overfitting", in the inverted form, which does nothing in evaluation.
    """
    x = jnp.asarray(x)
    keep = keep_mask(key, x.shape, rate)
    scale = (1 / (1 - jnp.asarray(rate, jnp.float32))).astype(x.dtype)
    return jnp.where(keep, x * scale, jnp.zeros_like(x))


def keep_mask(key: PRNGKey, shape: Sequence[int], rate: Scalar) -> Bool[jax.Array, "..."]:
    """True with probability `1 - rate`, independently for each element: those that survive.

    Raises:
        UsageError: a concrete `rate` is outside [0, 1).
    """
    check_concrete("dropout rate", rate, low=0, high=1, exclusive_high=True)
    # Comparing 16 random bits is twice as fast as drawing floats; the rate is exact to 2^-16.
    bits = jax.random.bits(key, shape, jnp.uint16)
    threshold = jnp.asarray(jnp.round(jnp.asarray(rate, jnp.float32) * 65536), jnp.uint32)
    return bits.astype(jnp.uint32) >= threshold
