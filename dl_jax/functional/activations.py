"""Elementwise non-linearities, and the softmax family."""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from dl_jax.functional.precision import at_least_float32
from dl_jax.types import Array, Scalar

Elements: TypeAlias = Float[Array, "..."] | float
Activation: TypeAlias = Callable[[Float[jax.Array, "..."]], Float[jax.Array, "..."]]


@jax.custom_jvp
def relu(x: Elements) -> Float[jax.Array, "..."]:
    """Rectified linear unit, `max(x, 0)`; its derivative at 0 is 0.

    Source: Nair and Hinton (2010), "Rectified linear units improve restricted Boltzmann machines".
    """
    # A select, not `maximum`, whose gradient at 0 is one half. And `<=`, not `>`: NaN stays NaN,
    # so that checks for it find it.
    return jnp.where(x <= 0, jnp.zeros_like(x), x)


@relu.defjvp
def _relu_jvp(primals: tuple[Any], tangents: tuple[Any]) -> tuple[jax.Array, jax.Array]:
    # The mask is computed from the result, which the next layer keeps anyway. Computed from `x`, it
    # would keep `x` in memory until the backward pass, or have it computed again there.
    (x,), (tangent,) = primals, tangents
    y = relu(x)
    return y, jnp.where(y == 0, jnp.zeros_like(tangent), tangent)


def leaky_relu(x: Elements, *, negative_slope: Scalar = 0.01) -> Float[jax.Array, "..."]:
    """`x` where positive, `negative_slope * x` elsewhere.

    Source: Maas et al. (2013), "Rectifier nonlinearities improve neural network acoustic models".
    """
    return jnp.where(x > 0, x, negative_slope * x)


def elu(x: Elements, *, alpha: Scalar = 1.0) -> Float[jax.Array, "..."]:
    """Exponential linear unit: `x` where positive, `alpha * (exp(x) - 1)` elsewhere.

    Source: Clevert et al. (2015), arXiv:1511.07289, equation 15.
    """
    # The derivative of a select is that of both branches: the unused exponential must not overflow.
    return jnp.where(x > 0, x, alpha * jnp.expm1(jnp.where(x > 0, jnp.zeros_like(x), x)))


@jax.custom_jvp
def softplus(x: Elements) -> Float[jax.Array, "..."]:
    """A smooth ReLU, `log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|))`.

    The second form is the one computed: its exponential does not overflow.

    Source: Dugas et al. (2000), "Incorporating second-order functional knowledge for better option
    pricing".
    """
    return jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


@softplus.defjvp
def _softplus_jvp(primals: tuple[Any], tangents: tuple[Any]) -> tuple[jax.Array, jax.Array]:
    # Both terms have a kink at 0, their sum has none: its slope is the sigmoid everywhere.
    (x,), (tangent,) = primals, tangents
    return softplus(x), sigmoid(x) * tangent


def tanh(x: Elements) -> Float[jax.Array, "..."]:
    """Hyperbolic tangent, `(exp(x) - exp(-x)) / (exp(x) + exp(-x))`.

    Source: LeCun et al. (1998), "Efficient BackProp", section 4.4.
    """
    return jnp.tanh(x)


def sigmoid(x: Elements) -> Float[jax.Array, "..."]:
    """Logistic function, `1 / (1 + exp(-x))`.

    Source: Rumelhart, Hinton and Williams (1986), "Learning representations by back-propagating
    errors", equation 2.
    """
    return lax.logistic(x)


def gelu(x: Elements) -> Float[jax.Array, "..."]:
    """Gaussian error linear unit, `x * Phi(x)` with Phi the standard normal distribution function.

    Source: Hendrycks and Gimpel (2016), arXiv:1606.08415, section 2 (the exact form).
    """
    x = jnp.asarray(x)
    # `erfc(-z)`, not `1 + erf(z)`, which loses all digits where Phi is small.
    return 0.5 * x * lax.erfc(-x * 0.5**0.5)


def silu(x: Elements) -> Float[jax.Array, "..."]:
    """Sigmoid linear unit (swish), `x * sigmoid(x)`.

    Source: Elfwing et al. (2017), arXiv:1702.03118, equation 1.
    """
    return jnp.asarray(x) * sigmoid(x)


def log_softmax(x: Float[Array, "..."], *, axis: int = -1) -> Float[jax.Array, "..."]:
    """`x - log(sum(exp(x)))` along `axis`, computed in float32 or wider.

    The maximum is subtracted first, so that the exponential does not overflow.

    Source: Bridle (1990), "Probabilistic interpretation of feedforward classification network
    outputs".
    """
    shifted = _shifted(x, axis)
    return shifted - jnp.log(jnp.exp(shifted).sum(axis, keepdims=True))


def softmax(x: Float[Array, "..."], *, axis: int = -1) -> Float[jax.Array, "..."]:
    """`exp(x) / sum(exp(x))` along `axis`, computed in float32 or wider.

    Source: Bridle (1990), "Probabilistic interpretation of feedforward classification network
    outputs".
    """
    exponentials = jnp.exp(_shifted(x, axis))
    return exponentials / exponentials.sum(axis, keepdims=True)


def _shifted(x: Float[Array, "..."], axis: int) -> jax.Array:
    """`x - max(x)`, whose exponential does not overflow."""
    x = at_least_float32(x)
    if x.shape[axis] == 0:  # no classes: nothing to normalize, and no maximum
        return x
    return x - lax.stop_gradient(x.max(axis, keepdims=True))
