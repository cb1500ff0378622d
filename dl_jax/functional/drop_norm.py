"""Dropout followed by normalization of the surviving features."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from dl_jax.concrete import check_concrete
from dl_jax.functional.channels import spread_channels
from dl_jax.functional.dropout import keep_mask
from dl_jax.functional.normalization import layer_norm
from dl_jax.functional.precision import at_least_float32
from dl_jax.types import Array, PRNGKey, Scalar


def drop_norm(
    x: Float[Array, "... features"],
    scale: Float[Array, " features"],
    bias: Float[Array, " features"],
    *,
    rate: Scalar,
    train: bool,
    key: PRNGKey | None = None,
    epsilon: Scalar = 1e-6,
) -> Float[jax.Array, "... features"]:
    """Features dropped at random; the survivors are normalized by their own mean and variance.

    With `m` the mask of the survivors and `n` their number, over the last axis of each example,

        mean = sum(m x) / n,   var = sum(m (x - mean)^2) / n
        y = m (scale (x - mean) / sqrt(var + epsilon) + bias)

    Dropout then changes neither the mean nor the variance of the survivors. In evaluation all
    features survive, and this is `layer_norm`. Unlike dropout, it does not rescale: in evaluation
    the next layer sums `1 / (1 - rate)` times as many features as in training, and its output has
    `1 / (1 - rate)` times the mean and the variance, unless it is normalized as well.

    Args:
        x: activations.
        scale: starts at 1.
        bias: starts at 0.
        rate: probability of dropping, in [0, 1); it may be traced.
        train: whether anything is dropped.
        key: consumed here; required in training only.
        epsilon: added to the variance.

    Raises:
        ValueError: there is no key in training.
        UsageError: a concrete `rate` is outside [0, 1), or `epsilon` is negative.

    Source: the idea is the course's; the parts are those of `dropout` and `layer_norm`.
    """
    if not train:
        return layer_norm(x, scale, bias, epsilon=epsilon)
    if key is None:
        raise ValueError("drop_norm needs a random key in training")
    check_concrete("drop_norm's epsilon", epsilon, low=0)
    x = jnp.asarray(x)
    keep = keep_mask(key, x.shape, rate)
    wide = at_least_float32(x)
    survivors = jnp.maximum(keep.sum(-1, keepdims=True), 1)
    mean = jnp.where(keep, wide, 0).sum(-1, keepdims=True) / survivors
    centered = jnp.where(keep, wide - mean, 0)
    var = (centered**2).sum(-1, keepdims=True) / survivors
    y = centered * lax.rsqrt(var + epsilon)
    y = y * spread_channels(scale, y) + spread_channels(bias, y)
    return jnp.where(keep, y, 0).astype(x.dtype)
