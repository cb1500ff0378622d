"""Prompts: what is expected of them, and what a network has read when they end."""

from collections.abc import Sequence
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
    chosen: Sequence[int] = (),
) -> tuple[jax.Array, jax.Array]:
    """The prompts, integers `[batch, time]`, and how many tokens of each count, `[batch]`.

    Raises:
        UsageError: a prompt has no tokens, or one that the network does not know, or one of
            `chosen` is none; prompts are no integers `[batch, time]`; lengths are not from 1 to
            their time; or `count` is less than 1.
    """
    prompts = jnp.asarray(prompts)
    if prompts.ndim != 2 or not jnp.issubdtype(prompts.dtype, jnp.integer) or not prompts.size:
        raise UsageError(
            f"prompts are {prompts.dtype}{list(prompts.shape)}, expected integers (batch, time), "
            "at least one token each"
        )
    check_integer("count", count, low=1)
    lengths = jnp.full(len(prompts), prompts.shape[1]) if lengths is None else jnp.asarray(lengths)
    if lengths.shape != prompts.shape[:1] or not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise UsageError(
            f"lengths are {lengths.dtype}{list(lengths.shape)}, expected an integer for each of "
            f"{len(prompts)} prompts"
        )
    if int(lengths.min()) < 1:
        raise UsageError("a prompt has no tokens, expected at least one: begin with a space")
    if int(lengths.max()) > prompts.shape[1]:
        raise UsageError(
            f"a prompt has length {lengths.max()}, expected at most the {prompts.shape[1]} tokens "
            "that prompts have"
        )
    size = jax.eval_shape(
        partial(read_prompts, stepper, count=count), params, prompts, lengths, context
    )[1].shape[-1]
    if not 0 <= int(prompts.min()) <= int(prompts.max()) < size:
        raise UsageError(
            f"prompts have tokens from {prompts.min()} to {prompts.max()}, expected 0 to "
            f"{size - 1}: these are tokens of another vocabulary"
        )
    for token in chosen:
        if not 0 <= token < size:
            raise UsageError(f"{token} is no token that can be chosen, expected 0 to {size - 1}")
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
