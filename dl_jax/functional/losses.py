"""Losses, one value per example: the learner takes the mean, exactly, over what counts."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from dl_jax.functional.activations import log_softmax


def cross_entropy(
    logits: Float[Array, "*batch classes"],
    targets: Int[Array, "*batch"] | Float[Array, "*batch classes"],
    *,
    label_smoothing: float | Float[Array, ""] = 0.0,
    mask: Shaped[Array, "*batch"] | None = None,
) -> Float[Array, "*batch"]:
    """`-sum_c p(c) log softmax(logits)(c)` for each example, in float32.

    Args:
        logits: unnormalised log-probabilities.
        targets: class indices, or a distribution over the classes.
        label_smoothing: share of the target that is spread evenly over all classes, in [0, 1].
        mask: 1 where an example counts, 0 where its loss is to be 0.

    Source: Szegedy et al. (2016), arXiv:1512.00567, section 7, for the smoothing.
    """
    if mask is not None:  # before the logarithm: in the gradient, 0 * nan is nan
        logits = jnp.where(mask[..., None] != 0, logits, 0)
    log_probabilities = log_softmax(logits)
    if jnp.issubdtype(targets.dtype, jnp.integer):
        picked = jnp.take_along_axis(log_probabilities, targets[..., None], axis=-1)[..., 0]
    else:
        picked = (targets * log_probabilities).sum(-1)
    spread = log_probabilities.mean(-1)
    losses = -((1 - label_smoothing) * picked + label_smoothing * spread)
    return losses if mask is None else jnp.where(mask != 0, losses, 0)


def l2_loss(
    predictions: Float[Array, "*batch features"], targets: Float[Array, "*batch features"]
) -> Float[Array, "*batch"]:
    """`sum_i (prediction_i - target_i)^2 / 2` for each example, in float32."""
    difference = predictions.astype(jnp.float32) - targets.astype(jnp.float32)
    return 0.5 * (difference**2).sum(-1)


def correct(
    logits: Float[Array, "*batch classes"], labels: Int[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """1 where the largest logit is the label's, else 0: its mean is the accuracy."""
    return (logits.argmax(-1) == labels).astype(jnp.float32)
