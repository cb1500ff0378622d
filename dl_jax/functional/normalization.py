"""Normalization: features are normalized to mean 0 and variance 1, then scaled and shifted.

The layers differ in the elements that share a mean and a variance:

    batch_norm    all examples (and pixels) of one channel
    layer_norm    all features of one example
    group_norm    a group of channels, and all pixels, of one example
    rms_norm      all features of one example; the mean is not subtracted

Statistics are computed in float32 or wider for every type of input.
"""

from math import prod
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from dl_jax.concrete import check_concrete
from dl_jax.functional.channels import spread_channels, sum_to_channels
from dl_jax.functional.precision import accumulation_dtype, at_least_float32
from dl_jax.types import Array, Count, Scalar, State


def batch_norm(
    x: Float[Array, "batch *pixels channels"],
    scale: Float[Array, " channels"],
    bias: Float[Array, " channels"],
    mean: Float[Array, " channels"],
    var: Float[Array, " channels"],
    *,
    train: bool,
    momentum: Scalar = 0.9,
    epsilon: Scalar = 1e-5,
) -> tuple[Float[jax.Array, "batch *pixels channels"], State]:
    """`scale * (x - mean) / sqrt(var + epsilon) + bias`, channel by channel.

    In training, mean and variance are those of the batch, over examples and pixels, and the running
    statistics are updated, `running = momentum * running + (1 - momentum) * batch`; in evaluation
    the running statistics are used and returned unchanged. A layer is called as

        x, statistics = batch_norm(x, **params["norm1"], **state["norm1"], train=train)

    In training it has reverse-mode derivatives of any order, and no forward mode.

    Args:
        x: `[B, F]`, or images `[B, H, W, C]`.
        scale: starts at 1.
        bias: starts at 0.
        mean: running mean, starts at 0.
        var: running variance, starts at 1. The variance of the batch is the biased one (divided by
            n), both for the output and for the running variance.
        train: whether to use the statistics of the batch.
        momentum: share of the running statistics that is kept at each step, in [0, 1].
        epsilon: added to the variance.

    Returns:
        The output, in the type of `x`, and the running statistics `{"mean": ..., "var": ...}`,
        which an empty batch does not change.

    Raises:
        UsageError: a concrete `momentum` is outside [0, 1], or `epsilon` is negative.

    Source: Ioffe and Szegedy (2015), arXiv:1502.03167, algorithm 1.
    """
    check_concrete("batch_norm's momentum", momentum, low=0, high=1)
    x, mean, var = jnp.asarray(x), jnp.asarray(mean), jnp.asarray(var)
    if train and x.size > 0:
        check_concrete("epsilon", epsilon, low=0)
        wide = accumulation_dtype(x.dtype)
        scale, bias, epsilon = (jnp.asarray(a, wide) for a in (scale, bias, epsilon))
        y, batch_mean, batch_var = _batch_normalized(x, scale, bias, epsilon)
        statistics = {
            "mean": momentum * mean + (1 - momentum) * lax.stop_gradient(batch_mean),
            "var": momentum * var + (1 - momentum) * lax.stop_gradient(batch_var),
        }
        return y, statistics
    y = _affine(_normalized(x, _along(mean, x), _along(var, x), epsilon), scale, bias)
    return y.astype(x.dtype), {"mean": mean, "var": var}


def layer_norm(
    x: Float[Array, "... features"],
    scale: Float[Array, " features"] | None = None,
    bias: Float[Array, " features"] | None = None,
    *,
    epsilon: Scalar = 1e-6,
) -> Float[jax.Array, "... features"]:
    """`scale * (x - mean) / sqrt(var + epsilon) + bias`, over the last axis of each example.

    Raises:
        UsageError: a concrete `epsilon` is negative.

    Source: Ba et al. (2016), arXiv:1607.06450, equation 4.
    """
    x = jnp.asarray(x)
    return _affine(_normalized(x, *_moments(x, (-1,)), epsilon), scale, bias).astype(x.dtype)


def group_norm(
    x: Float[Array, "batch *pixels channels"],
    scale: Float[Array, " channels"] | None = None,
    bias: Float[Array, " channels"] | None = None,
    *,
    groups: Count = 32,
    epsilon: Scalar = 1e-6,
) -> Float[jax.Array, "batch *pixels channels"]:
    """Each group of channels normalized over its channels and all pixels of one example.

    Raises:
        ValueError: the channels cannot be split into this many groups.
        UsageError: a concrete `epsilon` is negative.

    Source: Wu and He (2018), arXiv:1803.08494, equation 7.
    """
    x = jnp.asarray(x)
    channels = x.shape[-1]
    if groups < 1 or channels % groups:
        raise ValueError(f"{channels} channels cannot be split into {groups} equal groups")
    pixels = prod(x.shape[1:-1])
    grouped = x.reshape(x.shape[0], pixels, groups, channels // groups)  # [B, P, G, C / G]
    normalized = _normalized(grouped, *_moments(grouped, (1, 3)), epsilon)
    return _affine(normalized.reshape(x.shape), scale, bias).astype(x.dtype)


def rms_norm(
    x: Float[Array, "... features"],
    scale: Float[Array, " features"] | None = None,
    *,
    epsilon: Scalar = 1e-6,
) -> Float[jax.Array, "... features"]:
    """`scale * x / sqrt(mean(x^2) + epsilon)` over the last axis.

    Raises:
        UsageError: a concrete `epsilon` is negative.

    Source: Zhang and Sennrich (2019), arXiv:1910.07467, equation 4.
    """
    x = jnp.asarray(x)
    wide = at_least_float32(x)
    square = (wide**2).mean(-1, keepdims=True)
    y = _affine(wide * _inverse_root(square, epsilon), scale, None)
    return y.astype(x.dtype)


@jax.custom_vjp
def _batch_normalized(
    x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`batch_norm` in training: the output, and the mean and variance of the batch.

    The derivative is one closed form instead of that of each step: two sums forward, two backward.
    No gradient passes through the statistics. Source: Ioffe and Szegedy (2015), section 3.
    """
    return _batch_norm_forward(x, scale, bias, epsilon)[0]


def _batch_norm_forward(
    x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: jax.Array
) -> tuple[tuple[jax.Array, jax.Array, jax.Array], Any]:
    wide, count = at_least_float32(x), x.size // x.shape[-1]
    mean = sum_to_channels(wide) / count
    centered = wide - _along(mean, x)
    # Not mean(x^2) - mean(x)^2, which loses all digits where the mean is large.
    var = sum_to_channels(centered**2) / count
    inverse = lax.rsqrt(var + epsilon)
    y = centered * _along(inverse * scale, x) + _along(bias, x)
    return (y.astype(x.dtype), mean, var), (x, mean, inverse, scale)


def _batch_norm_backward(residuals: Any, cotangents: Any) -> tuple[jax.Array, ...]:
    x, mean, inverse, scale = residuals
    g, count = at_least_float32(cotangents[0]), x.size // x.shape[-1]
    normalized = (at_least_float32(x) - _along(mean, x)) * _along(inverse, x)
    to_bias, to_scale = sum_to_channels(g), sum_to_channels(g * normalized)
    # The gradient without its mean and without its part along the normalized input.
    along = normalized * _along(to_scale / count, x)
    to_x = (g - _along(to_bias / count, x) - along) * _along(scale * inverse, x)
    to_epsilon = -0.5 * (scale * inverse**2 * to_scale).sum()
    return to_x.astype(x.dtype), to_scale, to_bias, to_epsilon


_batch_normalized.defvjp(_batch_norm_forward, _batch_norm_backward)


def _moments(x: jax.Array, axes: tuple[int, ...]) -> tuple[jax.Array, jax.Array]:
    """Mean and biased variance over `axes`, which are kept with length 1."""
    x = at_least_float32(x)
    mean = x.mean(axes, keepdims=True)
    # Not mean(x^2) - mean(x)^2, which loses all digits where the mean is large.
    return mean, ((x - mean) ** 2).mean(axes, keepdims=True)


def _normalized(x: jax.Array, mean: jax.Array, var: jax.Array, epsilon: Scalar) -> jax.Array:
    return (at_least_float32(x) - mean) * _inverse_root(var, epsilon)


def _inverse_root(square: jax.Array, epsilon: Scalar) -> jax.Array:
    check_concrete("epsilon", epsilon, low=0)
    return lax.rsqrt(square + epsilon)


def _affine(x: jax.Array, scale: Array | None, bias: Array | None) -> jax.Array:
    x = x if scale is None else x * spread_channels(scale, x)
    return x if bias is None else x + spread_channels(bias, x)


def _along(vector: Array, x: jax.Array) -> jax.Array:
    """A vector of channels, with leading axes of length 1 up to the rank of `x`."""
    return jnp.asarray(vector).reshape((*[1] * (x.ndim - 1), vector.size))
