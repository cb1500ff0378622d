"""Prompts: what is expected of them, and what a network has read when they end."""

from functools import partial

import jax
import jax.numpy as jnp

from dl_jax.errors import UsageError, check_integer
from dl_jax.models import Stepper
from dl_jax.types import Array, Params, Tree


def check_prompts(
    stepper: Stepper,
    params: Params,
    prompts: Array,
    count: int,
    lengths: Array | None,
    context: Tree,
) -> tuple[jax.Array, jax.Array]:
    """The prompts, integers `[batch, time]`, and how many tokens of each count, `[batch]`.

    Raises:
        UsageError: a prompt has no tokens, or one that the network does not know; prompts are no
            integers `[batch, time]`; or `count` is less than 1.
    """
    prompts = jnp.asarray(prompts)
    if prompts.ndim != 2 or not jnp.issubdtype(prompts.dtype, jnp.integer) or not prompts.size:
        raise UsageError(
            f"prompts are {prompts.dtype}{list(prompts.shape)}, expected integers (batch, time), "
            "at least one token each"
        )
    check_integer("count", count, low=1)
    lengths = jnp.full(len(prompts), prompts.shape[1]) if lengths is None else jnp.asarray(lengths)
    if int(lengths.min()) < 1:
        raise UsageError("a prompt has no tokens, expected at least one: begin with a space")
    size = jax.eval_shape(
        partial(read_prompts, stepper, count=count), params, prompts, lengths, context
    )[1].shape[-1]
    if not 0 <= int(prompts.min()) <= int(prompts.max()) < size:
        raise UsageError(
            f"prompts have tokens from {prompts.min()} to {prompts.max()}, expected 0 to "
            f"{size - 1}: these are tokens of another vocabulary"
        )
    return prompts, lengths


def read_prompts(
    stepper: Stepper,
    params: Params,
    prompts: Array,
    lengths: Array,
    context: Tree,
    *,
    count: int,
) -> tuple[Tree, jax.Array]:
    """The carry and the logits after the prompts, with room for `count` tokens more."""
    carry = stepper.start(params, len(prompts), prompts.shape[1] + count, context)
    carry, logits = stepper.step(params, carry, prompts, lengths)
    return carry, jnp.asarray(logits)
