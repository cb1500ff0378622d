"""Text from a network that steps: a prefill of the prompts, then token after token."""

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from dl_jax.compilation import jit
from dl_jax.decoding.strategies import Strategy, greedy
from dl_jax.errors import UsageError, check_integer
from dl_jax.models import Stepper
from dl_jax.types import Array, Params, PRNGKey, Tree


def generate(
    stepper: Stepper,
    params: Params,
    prompts: Array,
    count: int,
    *,
    lengths: Array | None = None,
    strategy: Strategy = greedy,
    key: PRNGKey | None = None,
    context: Tree = None,
) -> jax.Array:
    """Continue prompts: `[batch, count]` tokens, in one compiled program.

    Padding, token 0, is never chosen.

    Args:
        stepper: of the model.
        params: of the model.
        prompts: integers `[batch, time]`, padded with 0 at their end.
        count: tokens to generate for each.
        lengths: how many tokens of each prompt count, at least 1; None counts all.
        strategy: chooses each token, such as `greedy` or `sample(0.8)`; another one is another
            program.
        key: consumed here; needed by every strategy but `greedy`.
        context: what the text depends on, as for `Stepper.start`.

    Raises:
        UsageError: a prompt has no tokens, or one that the network does not know; prompts are no
            integers `[batch, time]`; `count` is less than 1; or a key is missing.
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
    size = jax.eval_shape(partial(_read, stepper), params, prompts, lengths, context)[1].shape[-1]
    if not 0 <= int(prompts.min()) <= int(prompts.max()) < size:
        raise UsageError(
            f"prompts have tokens from {prompts.min()} to {prompts.max()}, expected 0 to "
            f"{size - 1}: these are tokens of another vocabulary"
        )
    if key is None and strategy is not greedy:
        raise UsageError("a strategy that draws needs a key: pass key=jax.random.key(0)")
    key = jax.random.key(0) if key is None else key
    return _compiled()(stepper, strategy, count, params, prompts, lengths, key, context)


@cache
def _compiled() -> Any:
    """Not at import: compiling looks for the platform."""
    return jit(_generated, static_argnums=(0, 1, 2))


def _generated(
    stepper: Stepper,
    strategy: Strategy,
    count: int,
    params: Params,
    prompts: Array,
    lengths: Array,
    key: PRNGKey,
    context: Tree,
) -> jax.Array:
    def step(state: Tree, number: jax.Array) -> tuple[Tree, jax.Array]:
        carry, logits = state
        tokens = strategy(logits.at[:, 0].set(-jnp.inf), jax.random.fold_in(key, number))
        return stepper.step(params, carry, tokens[:, None]), tokens

    begun = _read(stepper, params, prompts, lengths, context, count)
    _, tokens = lax.scan(step, begun, jnp.arange(count))
    return tokens.T


def _read(
    stepper: Stepper,
    params: Params,
    prompts: Array,
    lengths: Array,
    context: Tree,
    count: int = 0,
) -> tuple[Tree, jax.Array]:
    """The carry and the logits after the prompts, with room for `count` tokens more."""
    carry = stepper.start(params, len(prompts), prompts.shape[1] + count, context)
    carry, logits = stepper.step(params, carry, prompts, lengths)
    return carry, jnp.asarray(logits)
