"""Accuracy, one value per example: the mean over examples is the accuracy."""

import jax
import jax.numpy as jnp
from jaxtyping import Float, Integer, Shaped

from dl_jax.types import Array, Scalar


def correct(
    logits: Float[Array, "*batch classes"], labels: Integer[Array, "*batch"]
) -> Float[jax.Array, "*batch"]:
    """1 where the largest logit is the label's, else 0; NaN where a logit is NaN."""
    hits = jnp.asarray(logits).argmax(-1) == labels
    return jnp.where(jnp.isnan(logits).any(-1), jnp.nan, hits.astype(jnp.float32))


def binary_correct(
    logits: Float[Array, "*batch"], labels: Shaped[Array, "*batch"], threshold: Scalar = 0.0
) -> Float[jax.Array, "*batch"]:
    """1 where `logit > threshold` agrees with the label, else 0; NaN where the logit is NaN.

    Args:
        logits: log-odds of the positive class, or any score that grows with it.
        labels: 0 or 1, of any type.
        threshold: scores above it are predicted positive; 0.5 for probabilities.
    """
    hits = (jnp.asarray(logits) > threshold) == (jnp.asarray(labels) > 0.5)
    return jnp.where(jnp.isnan(logits), jnp.nan, hits.astype(jnp.float32))
