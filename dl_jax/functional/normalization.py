"""Normalization: features brought to mean 0 and variance 1, then scaled and shifted.

What differs is the set of elements that share a mean and a variance:

    batch_norm    all examples (and pixels) of one channel
    layer_norm    all features of one example
    group_norm    a group of channels, and all pixels, of one example
    rms_norm      all features of one example, the mean left where it is

Statistics are taken in float32 whatever the type of the input.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from dl_jax.types import State


def batch_norm(
    x: Float[Array, "batch *pixels channels"],
    scale: Float[Array, " channels"],
    bias: Float[Array, " channels"],
    mean: Float[Array, " channels"],
    var: Float[Array, " channels"],
    *,
    train: bool,
    momentum: float | Float[Array, ""] = 0.9,
    epsilon: float = 1e-5,
) -> tuple[Float[Array, "batch *pixels channels"], State]:
    """`scale * (x - mean) / sqrt(var + epsilon) + bias`, channel by channel.

    In training, mean and variance are those of the batch, over examples and pixels, and the running
    statistics move toward them, `running = momentum * running + (1 - momentum) * batch`; in
    evaluation the running ones are used and returned as they are. A layer is called as

        x, statistics = batch_norm(x, **params["norm1"], **state["norm1"], train=train)

    Args:
        x: `[B, F]`, or images `[B, H, W, C]`.
        scale: starts at 1.
        bias: starts at 0.
        mean: running mean, starts at 0.
        var: running variance, starts at 1. The batch's is the biased one (divided by n), in both
            its roles.
        train: whether the statistics are the batch's.
        momentum: share of the running statistics that stays at each step.
        epsilon: added to the variance.

    Returns:
        The output, in the type of `x`, and the running statistics `{"mean": ..., "var": ...}`.

    Source: Ioffe and Szegedy (2015), arXiv:1502.03167, algorithm 1.
    """
    if train:
        axes = tuple(range(x.ndim - 1))
        batch_mean, batch_var = _moments(x, axes)
        y = _affine(_normalized(x, batch_mean, batch_var, epsilon), scale, bias)
        batch_mean, batch_var = batch_mean.reshape(-1), batch_var.reshape(-1)
        statistics = {
            "mean": momentum * mean + (1 - momentum) * lax.stop_gradient(batch_mean),
            "var": momentum * var + (1 - momentum) * lax.stop_gradient(batch_var),
        }
        return y.astype(x.dtype), statistics
    y = _affine(_normalized(x, _along(mean, x), _along(var, x), epsilon), scale, bias)
    return y.astype(x.dtype), {"mean": mean, "var": var}


def layer_norm(
    x: Float[Array, "... features"],
    scale: Float[Array, " features"] | None = None,
    bias: Float[Array, " features"] | None = None,
    *,
    epsilon: float = 1e-6,
) -> Float[Array, "... features"]:
    """`scale * (x - mean) / sqrt(var + epsilon) + bias`, over the last axis of each example.

    Source: Ba et al. (2016), arXiv:1607.06450, equation 4.
    """
    return _affine(_normalized(x, *_moments(x, (-1,)), epsilon), scale, bias).astype(x.dtype)


def group_norm(
    x: Float[Array, "batch *pixels channels"],
    scale: Float[Array, " channels"] | None = None,
    bias: Float[Array, " channels"] | None = None,
    *,
    groups: int = 32,
    epsilon: float = 1e-6,
) -> Float[Array, "batch *pixels channels"]:
    """Each group of channels normalized over its channels and all pixels of one example.

    Raises:
        ValueError: the channels cannot be cut into so many groups.

    Source: Wu and He (2018), arXiv:1803.08494, equation 7.
    """
    channels = x.shape[-1]
    if groups < 1 or channels % groups:
        raise ValueError(f"{channels} channels cannot be cut into {groups} equal groups")
    grouped = x.reshape(x.shape[0], -1, groups, channels // groups)  # [B, P, G, C / G]
    normalized = _normalized(grouped, *_moments(grouped, (1, 3)), epsilon)
    return _affine(normalized.reshape(x.shape), scale, bias).astype(x.dtype)


def rms_norm(
    x: Float[Array, "... features"],
    scale: Float[Array, " features"] | None = None,
    *,
    epsilon: float = 1e-6,
) -> Float[Array, "... features"]:
    """`scale * x / sqrt(mean(x^2) + epsilon)` over the last axis.

    Source: Zhang and Sennrich (2019), arXiv:1910.07467, equation 4.
    """
    wide = _wide(x)
    square = (wide**2).mean(-1, keepdims=True)
    return _affine(wide * lax.rsqrt(square + epsilon), scale, None).astype(x.dtype)


def _wide(x: Array) -> Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _moments(x: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Mean and biased variance over `axes`, which stay as axes of length 1."""
    x = _wide(x)
    mean = x.mean(axes, keepdims=True)
    # Not mean(x^2) - mean(x)^2: that loses all digits where the mean is large.
    return mean, ((x - mean) ** 2).mean(axes, keepdims=True)


def _normalized(x: Array, mean: Array, var: Array, epsilon: float) -> Array:
    return (_wide(x) - mean) * lax.rsqrt(var + epsilon)


def _affine(x: Array, scale: Array | None, bias: Array | None) -> Array:
    x = x if scale is None else x * _along(scale, x)
    return x if bias is None else x + _along(bias, x)


def _along(vector: Array, x: Array) -> Array:
    """A vector of channels with axes of length 1 in front, as many as `x` has."""
    return vector.reshape(*[1] * (x.ndim - 1), -1)
