"""Activations: the backward pass multiplies the cotangent by the slope, elementwise.

Only the softmax family mixes elements: its Jacobian is a matrix along one axis.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import lax

from dl_jax.backprop.op import Op
from dl_jax.types import Array


def _elementwise(function: Callable[[Array], Array], slope: Callable[[Array, Array], Array]) -> Op:
    """`y = f(x)`, `dx = f'(x) g`; the slope is a function of x or, often cheaper, of y."""

    def forward(x: Array) -> tuple[Array, tuple[Array, Array]]:
        y = function(x)
        return y, (x, y)

    def backward(residuals: tuple[Array, Array], g: Array) -> tuple[Array]:
        return (slope(*residuals) * g,)

    return Op(forward, backward)


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + jnp.exp(-x))


def relu() -> Op:
    """`max(x, 0)`; slope 1 where positive, else 0."""
    return _elementwise(lambda x: jnp.maximum(x, 0), lambda x, _: (x > 0).astype(x.dtype))


def leaky_relu(negative_slope: float = 0.01) -> Op:
    """`x` where positive, else `a x`; slope 1 and a."""
    return _elementwise(
        lambda x: jnp.where(x > 0, x, negative_slope * x),
        lambda x, _: jnp.where(x > 0, jnp.ones_like(x), negative_slope),
    )


def elu(alpha: float = 1.0) -> Op:
    """`x` where positive, else `a (exp(x) - 1) = y`; slope 1, and `a exp(x) = y + a`."""
    return _elementwise(
        lambda x: jnp.where(x > 0, x, alpha * jnp.expm1(jnp.minimum(x, 0))),
        lambda x, y: jnp.where(x > 0, jnp.ones_like(x), y + alpha),
    )


def sigmoid() -> Op:
    """`1 / (1 + exp(-x))`; slope `y (1 - y)`."""
    return _elementwise(_sigmoid, lambda _, y: y * (1 - y))


def tanh() -> Op:
    """Hyperbolic tangent; slope `1 - y^2`."""
    return _elementwise(jnp.tanh, lambda _, y: 1 - y**2)


def softplus() -> Op:
    """`log(1 + exp(x))`; slope `sigmoid(x)`."""
    return _elementwise(
        lambda x: jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x))), lambda x, _: _sigmoid(x)
    )


def silu() -> Op:
    """`x s` with `s = sigmoid(x)`; slope `s + x s (1 - s) = s + y (1 - s)`."""

    def slope(x: Array, y: Array) -> Array:
        s = _sigmoid(x)
        return s + y * (1 - s)

    return _elementwise(lambda x: x * _sigmoid(x), slope)


def gelu() -> Op:
    """`x Phi(x)`; slope `Phi(x) + x phi(x)`, with phi the normal density and Phi its integral."""

    def distribution(x: Array) -> Array:
        return 0.5 * lax.erfc(-x / 2**0.5)

    def slope(x: Array, _: Array) -> Array:
        density = jnp.exp(-0.5 * x**2) / (2 * jnp.pi) ** 0.5
        return distribution(x) + x * density

    return _elementwise(lambda x: x * distribution(x), slope)


def softmax() -> Op:
    """`y = exp(x) / sum(exp(x))` along the last axis; `dx = y (g - sum(g y))`.

    The Jacobian is `diag(y) - y y^T`: raising one logit takes probability from all others.
    """

    def forward(x: Array) -> tuple[Array, Array]:
        powers = jnp.exp(x - x.max(-1, keepdims=True))
        y = powers / powers.sum(-1, keepdims=True)
        return y, y

    def backward(y: Array, g: Array) -> tuple[Array]:
        return (y * (g - (g * y).sum(-1, keepdims=True)),)

    return Op(forward, backward)


def log_softmax() -> Op:
    """`y = x - log(sum(exp(x)))` along the last axis; `dx = g - exp(y) sum(g)`."""

    def forward(x: Array) -> tuple[Array, Array]:
        shifted = x - x.max(-1, keepdims=True)
        y = shifted - jnp.log(jnp.exp(shifted).sum(-1, keepdims=True))
        return y, y

    def backward(y: Array, g: Array) -> tuple[Array]:
        return (g - jnp.exp(y) * g.sum(-1, keepdims=True),)

    return Op(forward, backward)
