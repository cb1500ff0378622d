"""Losses, one value per example, so `g` is one number per example.

The operands are `(predictions, targets)`; targets have no gradient.
"""

import jax.numpy as jnp
from jaxtyping import Float, Integer

from dl_jax.backprop.op import Op
from dl_jax.errors import check_range
from dl_jax.types import Array

Predictions = Float[Array, "batch features"]


def l2_loss() -> Op:
    """`sum (p - t)^2 / 2`; `dp = (p - t) g`."""

    def forward(predictions: Predictions, targets: Predictions) -> tuple[Array, Array]:
        difference = predictions - targets
        return 0.5 * (difference**2).sum(-1), difference

    def backward(difference: Array, g: Float[Array, " batch"]) -> tuple[Array, None]:
        return difference * g[:, None], None

    return Op(forward, backward)


def huber_loss(delta: float = 1.0) -> Op:
    """Quadratic within delta, linear beyond; `dp = clip(p - t, -delta, delta) g`."""
    check_range("huber_loss's delta", delta, low=0, exclusive_low=True)

    def forward(predictions: Predictions, targets: Predictions) -> tuple[Array, Array]:
        difference = predictions - targets
        near = jnp.clip(difference, -delta, delta)
        # Within delta: d^2 / 2. Beyond: delta (|d| - delta / 2).
        return (near * (difference - 0.5 * near)).sum(-1), near

    def backward(near: Array, g: Float[Array, " batch"]) -> tuple[Array, None]:
        return near * g[:, None], None

    return Op(forward, backward)


def binary_cross_entropy() -> Op:
    """`t softplus(-x) + (1 - t) softplus(x)` for the logit x; `dx = (sigmoid(x) - t) g`."""

    def forward(
        logits: Float[Array, " batch"], targets: Float[Array, " batch"]
    ) -> tuple[Array, Array]:
        # softplus(x) = max(x, 0) + log(1 + exp(-|x|)), and that of -x has the same logarithm.
        common = jnp.log1p(jnp.exp(-jnp.abs(logits)))
        linear = jnp.where(logits > 0, (1 - targets) * logits, -targets * logits)
        sigmoid = 1 / (1 + jnp.exp(-logits))
        return linear + common, sigmoid - targets

    def backward(error: Array, g: Float[Array, " batch"]) -> tuple[Array, None]:
        return error * g, None

    return Op(forward, backward)


def cross_entropy() -> Op:
    """`-log softmax(x)[t]`, softmax and loss fused; `dx = (softmax(x) - one_hot(t)) g`.

    Computed separately, the Jacobian of the softmax is multiplied by the `-1 / y` of the logarithm,
    which overflows for a confident wrong prediction. Fused, both cancel: prediction minus truth.
    A label outside the classes gives NaN, as in `dl_jax.functional.cross_entropy`.
    """

    def forward(
        logits: Float[Array, "batch classes"], targets: Integer[Array, " batch"]
    ) -> tuple[Array, Array]:
        shifted = logits - logits.max(-1, keepdims=True)
        powers = jnp.exp(shifted)
        total = powers.sum(-1, keepdims=True)
        truth = jnp.arange(logits.shape[-1])[None, :] == targets[:, None]
        losses = jnp.log(total) - jnp.where(truth, shifted, 0).sum(-1, keepdims=True)
        unknown = ~truth.any(-1, keepdims=True)
        losses = jnp.where(unknown, jnp.nan, losses)[:, 0]
        return losses, jnp.where(unknown, jnp.nan, powers / total - truth)

    def backward(error: Array, g: Float[Array, " batch"]) -> tuple[Array, None]:
        return error * g[:, None], None

    return Op(forward, backward)
