"""Dropout and normalization in one."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from dl_jax.functional.dropout import keep_mask
from dl_jax.functional.normalization import layer_norm
from dl_jax.types import PRNGKey


def drop_norm(
    x: Float[Array, "... features"],
    scale: Float[Array, " features"],
    bias: Float[Array, " features"],
    *,
    rate: float | Float[Array, ""],
    train: bool,
    key: PRNGKey | None = None,
    epsilon: float = 1e-6,
) -> Float[Array, "... features"]:
    """Features dropped at random, the survivors normalized by their own mean and variance.

    With `m` the mask of the survivors and `n` their number, over the last axis of each example,

        mean = sum(m x) / n,   var = sum(m (x - mean)^2) / n
        y = m (scale (x - mean) / sqrt(var + epsilon) + bias)

    What dropout takes away thus changes neither mean nor variance of what stays. In evaluation all
    survive, and this is `layer_norm`. Nothing is rescaled: in evaluation a layer behind it sums
    `1 / (1 - rate)` times as many features as in training, and its result has so many times the
    mean and the variance, unless it is normalized in turn.

    Args:
        x: activations.
        scale: starts at 1.
        bias: starts at 0.
        rate: probability of dropping, in [0, 1); it may be traced.
        train: whether anything is dropped.
        key: consumed here; needed in training alone.
        epsilon: added to the variance.

    Raises:
        ValueError: there is no key in training.
        UsageError: a concrete `rate` lies outside [0, 1).

    Source: the idea is the course's; the parts are those of `dropout` and `layer_norm`.
    """
    if not train:
        return layer_norm(x, scale, bias, epsilon=epsilon)
    if key is None:
        raise ValueError("drop_norm needs a random key in training")
    keep = keep_mask(key, x.shape, rate)
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    survivors = jnp.maximum(keep.sum(-1, keepdims=True), 1)
    mean = jnp.where(keep, wide, 0).sum(-1, keepdims=True) / survivors
    centered = jnp.where(keep, wide - mean, 0)
    var = (centered**2).sum(-1, keepdims=True) / survivors
    channels = (*[1] * (x.ndim - 1), -1)
    y = centered * lax.rsqrt(var + epsilon) * scale.reshape(channels) + bias.reshape(channels)
    return jnp.where(keep, y, 0).astype(x.dtype)
