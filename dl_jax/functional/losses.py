"""Losses, one value per example; the learner takes the mean over the examples that count."""

import jax
import jax.numpy as jnp
from jaxtyping import Float, Integer, Real, Shaped

from dl_jax.concrete import check_concrete, is_concrete
from dl_jax.functional.activations import log_softmax, softplus
from dl_jax.functional.indexing import without_wraparound
from dl_jax.functional.precision import at_least_float32
from dl_jax.types import Array, Scalar


def cross_entropy(
    logits: Float[Array, "*batch classes"],
    targets: Integer[Array, "*batch"] | Float[Array, "*batch classes"],
    *,
    label_smoothing: Scalar = 0.0,
    mask: Shaped[Array, "*batch"] | None = None,
) -> Float[jax.Array, "*batch"]:
    """`-sum_c p(c) log softmax(logits)(c)` for each example, in float32 or wider.

    Args:
        logits: unnormalized log-probabilities.
        targets: class indices, or a distribution over the classes. A label outside the classes
            makes the loss NaN: compiled code cannot raise an error.
        label_smoothing: share of the target that is spread evenly over all classes, in [0, 1].
        mask: 1 where an example counts, 0 where its loss is set to 0; of any type.

    Raises:
        UsageError: a concrete `label_smoothing` is outside [0, 1].

    Source: Szegedy et al. (2016), arXiv:1512.00567, section 7, for the smoothing.
    """
    check_concrete("label_smoothing", label_smoothing, low=0, high=1)
    logits, targets = jnp.asarray(logits), jnp.asarray(targets)
    if mask is not None:  # before the logarithm: in the gradient, 0 * nan is nan
        logits = jnp.where(mask[..., None] != 0, logits, 0)
    log_probabilities = log_softmax(logits)
    if jnp.issubdtype(targets.dtype, jnp.integer):
        labels = without_wraparound(targets, logits.shape[-1])[..., None]
        picked = jnp.take_along_axis(log_probabilities, labels, axis=-1, mode="fill")[..., 0]
    else:  # 0 * -inf would be nan: a class with logit -inf may have no share in the target
        picked = jnp.where(targets == 0, 0, targets * log_probabilities).sum(-1)
    losses = -picked
    if not is_concrete(label_smoothing) or float(label_smoothing) != 0:
        spread = log_probabilities.mean(-1)
        losses = -jnp.add((1 - label_smoothing) * picked, label_smoothing * spread)
    return losses if mask is None else jnp.where(mask != 0, losses, 0)


def binary_cross_entropy(
    logits: Float[Array, "*batch"],
    targets: Shaped[Array, "*batch"],
    *,
    mask: Shaped[Array, "*batch"] | None = None,
) -> Float[jax.Array, "*batch"]:
    """`-t log sigmoid(x) - (1 - t) log(1 - sigmoid(x))` for each logit `x`, in float32 or wider.

    Computed as `t softplus(-x) + (1 - t) softplus(x)`, which is finite for every finite logit and
    accurate for small losses.

    Args:
        logits: log-odds of the positive class.
        targets: 0 or 1 of any type, or the probability of the positive class.
        mask: 1 where a logit counts, 0 where its loss is set to 0; of any type.

    Source: Bishop (2006), "Pattern recognition and machine learning", equation 4.90.
    """
    x = at_least_float32(logits)
    t = jnp.asarray(targets).astype(x.dtype)
    if mask is not None:  # before the loss: in the gradient, 0 * nan is nan
        x = jnp.where(mask != 0, x, 0)
    losses = t * softplus(-x) + (1 - t) * softplus(x)
    return losses if mask is None else jnp.where(mask != 0, losses, 0)


def l2_loss(
    predictions: Float[Array, "*batch features"], targets: Real[Array, "*batch features"]
) -> Float[jax.Array, "*batch"]:
    """`sum_i (prediction_i - target_i)^2 / 2` for each example, in float32 or wider.

    Source: Bishop (2006), "Pattern recognition and machine learning", equation 3.12.
    """
    difference = at_least_float32(predictions) - at_least_float32(targets)
    return 0.5 * (difference**2).sum(-1)


def huber_loss(
    predictions: Float[Array, "*batch features"],
    targets: Real[Array, "*batch features"],
    *,
    delta: Scalar = 1.0,
) -> Float[jax.Array, "*batch"]:
    """`sum_i h(prediction_i - target_i)` for each example: quadratic, then linear.

    `h(d) = d^2 / 2` where `|d| <= delta`, and `delta * (|d| - delta / 2)` beyond.

    Raises:
        UsageError: a concrete `delta` is not positive.

    Source: Huber (1964), "Robust estimation of a location parameter".
    """
    check_concrete("huber_loss's delta", delta, low=0, exclusive_low=True)
    distance = jnp.abs(at_least_float32(predictions) - at_least_float32(targets))
    near = jnp.minimum(distance, delta)
    # Within delta the second term is zero; beyond it the first is constant.
    return (0.5 * near**2 + delta * (distance - near)).sum(-1)
