"""Losses, one value per example: the learner takes the mean, exactly, over what counts."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from dl_jax.functional.activations import log_softmax, softplus


def cross_entropy(
    logits: Float[Array, "*batch classes"],
    targets: Int[Array, "*batch"] | Float[Array, "*batch classes"],
    *,
    label_smoothing: float | Float[Array, ""] = 0.0,
    mask: Shaped[Array, "*batch"] | None = None,
) -> Float[Array, "*batch"]:
    """`-sum_c p(c) log softmax(logits)(c)` for each example, in float32 at least.

    Args:
        logits: unnormalized log-probabilities.
        targets: class indices, or a distribution over the classes. A label that is no class makes
            the loss NaN: a traced program cannot raise an error.
        label_smoothing: share of the target that is spread evenly over all classes, in [0, 1].
        mask: 1 where an example counts, 0 where its loss is to be 0.

    Source: Szegedy et al. (2016), arXiv:1512.00567, section 7, for the smoothing.
    """
    if mask is not None:  # before the logarithm: in the gradient, 0 * nan is nan
        logits = jnp.where(mask[..., None] != 0, logits, 0)
    log_probabilities = log_softmax(logits)
    if jnp.issubdtype(targets.dtype, jnp.integer):
        known = jnp.where(targets < 0, logits.shape[-1], targets)[..., None]  # -1 is not the last
        picked = jnp.take_along_axis(log_probabilities, known, axis=-1, mode="fill")[..., 0]
    else:  # 0 * -inf would be nan: a masked class has no share in the target
        picked = jnp.where(targets == 0, 0, targets * log_probabilities).sum(-1)
    losses = -picked
    if not (isinstance(label_smoothing, (int, float)) and label_smoothing == 0):
        spread = log_probabilities.mean(-1)
        losses = -((1 - label_smoothing) * picked + label_smoothing * spread)
    return losses if mask is None else jnp.where(mask != 0, losses, 0)


def binary_cross_entropy(
    logits: Float[Array, "*batch"],
    targets: Shaped[Array, "*batch"],
    *,
    mask: Shaped[Array, "*batch"] | None = None,
) -> Float[Array, "*batch"]:
    """`-t log sigmoid(x) - (1 - t) log(1 - sigmoid(x))` for each logit `x`, in float32 at least.

    Computed as `t softplus(-x) + (1 - t) softplus(x)`, which is finite for every finite logit and
    keeps the digits of a small loss.

    Args:
        logits: log-odds of the positive class.
        targets: 0 or 1 of any type, or the probability of the positive class.
        mask: 1 where a logit counts, 0 where its loss is to be 0.

    Source: Bishop (2006), "Pattern recognition and machine learning", equation 4.90.
    """
    x = _wide(logits)
    t = targets.astype(x.dtype)
    if mask is not None:  # before the loss: in the gradient, 0 * nan is nan
        x = jnp.where(mask != 0, x, 0)
    losses = t * softplus(-x) + (1 - t) * softplus(x)
    return losses if mask is None else jnp.where(mask != 0, losses, 0)


def l2_loss(
    predictions: Float[Array, "*batch features"], targets: Float[Array, "*batch features"]
) -> Float[Array, "*batch"]:
    """`sum_i (prediction_i - target_i)^2 / 2` for each example, in float32 at least.

    Source: Bishop (2006), "Pattern recognition and machine learning", equation 3.12.
    """
    difference = _wide(predictions) - _wide(targets)
    return 0.5 * (difference**2).sum(-1)


def huber_loss(
    predictions: Float[Array, "*batch features"],
    targets: Float[Array, "*batch features"],
    *,
    delta: float = 1.0,
) -> Float[Array, "*batch"]:
    """`sum_i h(prediction_i - target_i)` for each example: quadratic, then linear.

    `h(d) = d^2 / 2` where `|d| <= delta`, and `delta * (|d| - delta / 2)` beyond.

    Source: Huber (1964), "Robust estimation of a location parameter".
    """
    distance = jnp.abs(_wide(predictions) - _wide(targets))
    near = jnp.minimum(distance, delta)
    # Within delta the second term is zero, beyond it the first is constant.
    return (0.5 * near**2 + delta * (distance - near)).sum(-1)


def correct(
    logits: Float[Array, "*batch classes"], labels: Int[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """1 where the largest logit is the label's, else 0: its mean is the accuracy."""
    return (logits.argmax(-1) == labels).astype(jnp.float32)


def _wide(x: Array) -> Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
