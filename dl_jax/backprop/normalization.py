"""Normalization over a batch, and over the features of an example."""

import jax.numpy as jnp
from jaxtyping import Float

from dl_jax.backprop.op import Op
from dl_jax.types import Array


def batch_norm(epsilon: float = 1e-5) -> Op:
    """`y = scale x^ + bias`, `x^ = (x - mean) / sqrt(var + epsilon)`, over all axes but the last.

        dbias = sum g        dscale = sum g x^
        dx = scale / sqrt(var + epsilon) (g - mean(g) - x^ mean(g x^))

    Mean and variance depend on x too. This removes from g the part that would only shift or scale
    the batch, since such a change has no effect on y. There are no running statistics: it uses the
    statistics of the batch in evaluation too.
    """

    def forward(
        x: Float[Array, "batch *pixels channels"],
        scale: Float[Array, " channels"],
        bias: Float[Array, " channels"],
    ) -> tuple[Array, tuple[Array, Array, Array]]:
        axes = tuple(range(x.ndim - 1))
        centered = x - x.mean(axes, keepdims=True)
        inverse = 1 / jnp.sqrt((centered**2).mean(axes, keepdims=True) + epsilon)
        normalized = centered * inverse
        y = normalized * _along(scale, x) + _along(bias, x)
        return y, (normalized, inverse, _along(scale, x))

    def backward(residuals: tuple[Array, Array, Array], g: Array) -> tuple[Array, Array, Array]:
        normalized, inverse, scale = residuals
        axes = tuple(range(g.ndim - 1))
        stretch = (g * normalized).mean(axes, keepdims=True)
        dx = scale * inverse * (g - g.mean(axes, keepdims=True) - normalized * stretch)
        return dx, (g * normalized).sum(axes), g.sum(axes)

    return Op(forward, backward, ("scale", "bias"))


def layer_norm(epsilon: float = 1e-6) -> Op:
    """As `batch_norm`, but over the last axis of each example.

    The scale varies along the axis of the statistics, so it stays inside the means:

        dx = (h - mean(h) - x^ mean(h x^)) / sqrt(var + epsilon)    with h = scale g
    """

    def forward(
        x: Float[Array, "... features"],
        scale: Float[Array, " features"],
        bias: Float[Array, " features"],
    ) -> tuple[Array, tuple[Array, Array, Array]]:
        centered = x - x.mean(-1, keepdims=True)
        inverse = 1 / jnp.sqrt((centered**2).mean(-1, keepdims=True) + epsilon)
        normalized = centered * inverse
        y = normalized * _along(scale, x) + _along(bias, x)
        return y, (normalized, inverse, _along(scale, x))

    def backward(residuals: tuple[Array, Array, Array], g: Array) -> tuple[Array, Array, Array]:
        normalized, inverse, scale = residuals
        h = scale * g
        stretch = (h * normalized).mean(-1, keepdims=True)
        dx = inverse * (h - h.mean(-1, keepdims=True) - normalized * stretch)
        axes = tuple(range(g.ndim - 1))
        return dx, (g * normalized).sum(axes), g.sum(axes)

    return Op(forward, backward, ("scale", "bias"))


def _along(vector: Array, x: Array) -> Array:
    """A vector of channels, with leading axes of length 1 up to the rank of `x`."""
    return vector.reshape(*[1] * (x.ndim - 1), -1)
