"""Losses, one value per example; `g` is then one number per example as well.

The operands are `(predictions, targets)`, and targets have no gradient.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from dl_jax.backprop.op import Op

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
    """`-log softmax(x)[t]`, softmax and loss fused; `dx = (softmax(x) - onehot(t)) g`.

    Apart, the softmax's Jacobian meets the logarithm's `-1 / y`, which overflows for a sure and
    wrong prediction; fused, both cancel, and what is left is prediction minus truth.
    """

    def forward(
        logits: Float[Array, "batch classes"], targets: Int[Array, " batch"]
    ) -> tuple[Array, Array]:
        shifted = logits - logits.max(-1, keepdims=True)
        powers = jnp.exp(shifted)
        total = powers.sum(-1, keepdims=True)
        truth = jnp.arange(logits.shape[-1])[None, :] == targets[:, None]
        losses = jnp.log(total[:, 0]) - jnp.where(truth, shifted, 0).sum(-1)
        return losses, powers / total - truth

    def backward(error: Array, g: Float[Array, " batch"]) -> tuple[Array, None]:
        return error * g[:, None], None

    return Op(forward, backward)
