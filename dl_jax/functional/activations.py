"""Elementwise non-linearities, and the softmax family."""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Activation: TypeAlias = Callable[[Float[Array, "..."]], Float[Array, "..."]]


@jax.custom_jvp
def relu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Rectified linear unit, `max(x, 0)`; its derivative at 0 is 0.

    Source: Nair and Hinton (2010), "Rectified linear units improve restricted Boltzmann machines".
    """
    # A select, not `maximum`: the gradient is then one mask and no half at a tie with zero.
    return jnp.where(x > 0, x, jnp.zeros_like(x))


@relu.defjvp
def _relu_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    # The mask is read off the result, which the next layer keeps anyway. Read off `x`, it would
    # keep `x` alive until the backward pass, or have it computed again there.
    (tangent,) = tangents
    y = relu(*primals)
    return y, jnp.where(y > 0, tangent, jnp.zeros_like(tangent))


def tanh(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Hyperbolic tangent, `(exp(x) - exp(-x)) / (exp(x) + exp(-x))`."""
    return jnp.tanh(x)


def sigmoid(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Logistic function, `1 / (1 + exp(-x))`."""
    return lax.logistic(x)


def gelu(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Gaussian error linear unit, `x * Phi(x)` with Phi the standard normal distribution function.

    Source: Hendrycks and Gimpel (2016), arXiv:1606.08415, section 2 (the exact form).
    """
    return x * 0.5 * (1 + lax.erf(x * 0.5**0.5))


def log_softmax(x: Float[Array, "..."], *, axis: int = -1) -> Float[Array, "..."]:
    """`x - log(sum(exp(x)))` along `axis`, computed in float32 whatever the input's type.

    The maximum is subtracted first, so that no exponential overflows.
    """
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    shifted = x - lax.stop_gradient(x.max(axis, keepdims=True))
    return shifted - jnp.log(jnp.exp(shifted).sum(axis, keepdims=True))


def softmax(x: Float[Array, "..."], *, axis: int = -1) -> Float[Array, "..."]:
    """`exp(x) / sum(exp(x))` along `axis`, computed in float32 whatever the input's type."""
    return jnp.exp(log_softmax(x, axis=axis))
