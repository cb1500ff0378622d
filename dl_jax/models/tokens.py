"""What models of texts share: tokens, padded with 0 at their end, and their embedding."""

from collections.abc import Mapping
from typing import Literal

import jax
import jax.numpy as jnp

from dl_jax.errors import UsageError
from dl_jax.types import Array, Params, PRNGKey


def check_tokens(name: str, inputs: Array) -> jax.Array:
    """`inputs`, if they are tokens `[batch, time]`.

    Raises:
        UsageError: they are something else.
    """
    if isinstance(inputs, Mapping):
        raise UsageError(
            f"{name} got {' and '.join(inputs)}, expected tokens alone: it carries no state from "
            "batch to batch (carry_on=0)"
        )
    inputs = jnp.asarray(inputs)
    if inputs.ndim != 2 or not jnp.issubdtype(inputs.dtype, jnp.integer):
        raise UsageError(
            f"{name} got inputs {inputs.dtype}{list(inputs.shape)}, expected tokens: integers "
            "(batch, time), padded with 0"
        )
    return inputs


def token_lengths(tokens: Array) -> jax.Array:
    """How many tokens each text has, `[batch]`: padding is 0, and behind all others."""
    return jnp.where(tokens != 0, jnp.arange(1, tokens.shape[1] + 1)[None], 0).max(1, initial=0)


def embedding_of(key: PRNGKey, vocab_size: int, embedding_dim: int) -> Params:
    """Initial vectors of tokens, normal and of length 1 on average."""
    drawn = jax.random.normal(key, (vocab_size, embedding_dim))
    return {"embedding": drawn * embedding_dim**-0.5}


def over_time(x: Array, lengths: Array, pooling: Literal["mean", "max"]) -> jax.Array:
    """The mean or the maximum of `[batch, time, features]` over the steps that count; 0 of none."""
    counts = (jnp.arange(x.shape[1])[None] < lengths[:, None])[..., None]  # [B, T, 1]
    if pooling == "mean":
        return jnp.where(counts, x, 0).sum(1) / jnp.maximum(lengths, 1)[:, None].astype(x.dtype)
    largest = jnp.where(counts, x, jnp.finfo(x.dtype).min).max(1)
    return jnp.where(lengths[:, None] > 0, largest, 0)
