"""Text from a network that steps: a prefill of the prompts, then token after token."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from dl_jax.compilation import jit
from dl_jax.decoding.prompts import check_prompts, read_prompts
from dl_jax.decoding.strategies import Strategy, greedy
from dl_jax.errors import UsageError
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
    stop: Sequence[int] = (),
    never: Sequence[int] = (),
    key: PRNGKey | None = None,
    context: Tree = None,
) -> jax.Array:
    """Continue prompts: `[batch, count]` tokens, in one compiled program.

    Padding, token 0, is never chosen; it stands behind a token that stops.

    Args:
        stepper: of the model.
        params: of the model.
        prompts: integers `[batch, time]`, padded with 0 at their end.
        count: tokens to generate for each, at most.
        lengths: how many tokens of each prompt count, at least 1; None counts all.
        strategy: chooses each token, such as `greedy` or `sample(0.8)`; another one is another
            program.
        stop: tokens that end a text; the program ends with the last of the texts.
        never: tokens that are not chosen, such as an unknown one.
        key: consumed here; needed by every strategy but `greedy`.
        context: what the text depends on, as for `Stepper.start`.

    Raises:
        UsageError: a prompt has no tokens, or one that the network does not know; prompts are no
            integers `[batch, time]`; lengths are not from 1 to their time; a token of `stop` or
            `never` is none; `count` is less than 1; or a key is missing.
    """
    chosen = (*_plain(stop), *_plain(never))
    prompts, lengths = check_prompts(stepper, params, prompts, count, lengths, context, chosen)
    key = _key_for(strategy, key)
    return _compiled()["generate"](
        stepper, strategy, count, _plain(stop), _plain(never), params, prompts, lengths, key,
        context,
    )  # fmt: skip


def stream(
    stepper: Stepper,
    params: Params,
    prompts: Array,
    count: int,
    *,
    lengths: Array | None = None,
    strategy: Strategy = greedy,
    never: Sequence[int] = (),
    key: PRNGKey | None = None,
    context: Tree = None,
) -> Iterator[jax.Array]:
    """The tokens of `generate`, `[batch]` each time, as soon as they are known.

    Slower, since each is a call of its own. Who reads them stops where it likes.

    Raises:
        UsageError: as for `generate`, at once.
    """
    key, out = _key_for(strategy, key), _plain(never)
    prompts, lengths = check_prompts(stepper, params, prompts, count, lengths, context, out)

    def tokens() -> Iterator[jax.Array]:
        compiled = _compiled()
        carry, logits = compiled["read"](stepper, count, params, prompts, lengths, context)
        prepared = compiled["prepare"](stepper, params)
        for number in range(count):
            chosen = compiled["choose"](strategy, out, logits, key, number)
            yield chosen
            if number + 1 < count:
                carry, logits = compiled["step"](stepper, prepared, carry, chosen)

    return tokens()


def _key_for(strategy: Strategy, key: PRNGKey | None) -> PRNGKey:
    if key is None and strategy is not greedy:
        raise UsageError("a strategy that draws needs a key: pass key=jax.random.key(0)")
    return jax.random.key(0) if key is None else key


def _plain(tokens: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(token) for token in tokens)


@cache
def _compiled() -> dict[str, Any]:
    """Not at import: compiling looks for the platform."""
    return {
        "generate": jit(_generated, static_argnums=(0, 1, 2, 3, 4)),
        "read": jit(_read, static_argnums=(0, 1)),
        "prepare": jit(_prepare, static_argnums=0),
        "choose": jit(_choose, static_argnums=(0, 1)),
        "step": jit(_step, static_argnums=0, donate_argnums=2),
    }


def _generated(
    stepper: Stepper,
    strategy: Strategy,
    count: int,
    stops: tuple[int, ...],
    never: tuple[int, ...],
    params: Params,
    prompts: Array,
    lengths: Array,
    key: PRNGKey,
    context: Tree,
) -> jax.Array:
    def unfinished(state: Tree) -> jax.Array:
        number, ended = state[0], state[1]
        return (number < count) & ~ended.all()

    def body(state: Tree) -> Tree:
        number, ended, text, carry, logits = state
        tokens = jnp.where(ended, 0, _choose(strategy, never, logits, key, number))
        text = lax.dynamic_update_slice(text, tokens[:, None], (0, number))
        for token in stops:
            ended |= tokens == token
        return number + 1, ended, text, *_step(stepper, prepared, carry, tokens)

    batch, prepared = len(prompts), stepper.prepare(params)
    begun = _read(stepper, count, params, prompts, lengths, context)
    start = (0, jnp.zeros(batch, bool), jnp.zeros((batch, count), jnp.int32), *begun)
    return lax.while_loop(unfinished, body, start)[2]


def _read(
    stepper: Stepper, count: int, params: Params, prompts: Array, lengths: Array, context: Tree
) -> tuple[Tree, jax.Array]:
    return read_prompts(stepper, params, prompts, lengths, context, count=count)


def _prepare(stepper: Stepper, params: Params) -> Params:
    return stepper.prepare(params)


def _choose(
    strategy: Strategy,
    never: tuple[int, ...],
    logits: Array,
    key: PRNGKey,
    number: jax.Array | int,
) -> jax.Array:
    """A token for each row, never padding."""
    allowed = jnp.asarray(logits).at[:, (0, *never)].set(-jnp.inf)
    return strategy(allowed, jax.random.fold_in(key, number))


def _step(
    stepper: Stepper, params: Params, carry: Tree, tokens: jax.Array
) -> tuple[Tree, jax.Array]:
    carry, logits = stepper.step(params, carry, tokens[:, None])
    return carry, jnp.asarray(logits)
