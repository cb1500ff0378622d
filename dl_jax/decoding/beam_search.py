"""Beam search: the most likely text among those that begin well."""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dl_jax.compilation import jit
from dl_jax.decoding.prompts import check_prompts, read_prompts
from dl_jax.errors import check_integer, check_range
from dl_jax.models import Stepper
from dl_jax.types import Array, Params, Tree


class Beams(NamedTuple):
    """Texts of each prompt, the best first.

    tokens: integers `[batch, beams, count]`, 0 behind a token that stops.
    scores: `[batch, beams]`, log-probabilities over the penalty; -inf where there is no such text.
    """

    tokens: jax.Array
    scores: jax.Array


def beam_search(
    stepper: Stepper,
    params: Params,
    prompts: Array,
    count: int,
    *,
    beams: int = 4,
    length_penalty: float = 0.6,
    stop: Sequence[int] = (),
    lengths: Array | None = None,
    context: Tree = None,
) -> Beams:
    """The `beams` best continuations of each prompt, in one compiled program.

    At each step the best texts so far are continued with every token, and the best of these are
    kept. A text is as good as

        log p(text) / ((5 + length) / 6)^length_penalty

    with its length in tokens, the one that stops it among them. A text that has stopped keeps its
    score and its place until better ones take it.

    Args:
        stepper: of the model.
        params: of the model.
        prompts: integers `[batch, time]`, padded with 0 at their end.
        count: tokens of a text, at most.
        beams: texts that are kept; 1 is `greedy`.
        length_penalty: at least 0, which compares log-probabilities; more prefers longer texts.
        stop: tokens that end a text.
        lengths: how many tokens of each prompt count, at least 1; None counts all.
        context: what the text depends on, as for `Stepper.start`.

    Raises:
        UsageError: as for `generate`, or `beams` or `length_penalty` is out of range.

    Source: Wu et al. (2016), arXiv:1609.08144, section 7, for the penalty.
    """
    stops = tuple(int(token) for token in stop)
    prompts, lengths = check_prompts(stepper, params, prompts, count, lengths, context, stops)
    check_integer("beams", beams, low=1)
    check_range("length_penalty", length_penalty, low=0)
    searched = _compiled()(
        stepper, count, beams, stops, params, prompts, lengths, length_penalty, context
    )
    return Beams(*searched)


@cache
def _compiled() -> Any:
    """Not at import: compiling looks for the platform."""
    return jit(_searched, static_argnums=(0, 1, 2, 3))


class _State(NamedTuple):
    """Texts in the middle of the search; all but `number` have `[batch, beams]` as first axes."""

    number: jax.Array
    text: jax.Array  # [..., count]
    total: jax.Array
    length: jax.Array
    ended: jax.Array
    logits: jax.Array  # [..., vocabulary]
    carry: Tree  # its leaves have [batch * beams]


def _searched(
    stepper: Stepper,
    count: int,
    beams: int,
    stops: tuple[int, ...],
    params: Params,
    prompts: jax.Array,
    lengths: jax.Array,
    length_penalty: jax.Array,
    context: Tree,
) -> tuple[jax.Array, jax.Array]:
    batch, prepared = len(prompts), stepper.prepare(params)

    def score(total: jax.Array, length: jax.Array) -> jax.Array:
        return total / ((5 + length) / 6) ** length_penalty

    def unfinished(state: _State) -> jax.Array:
        return (state.number < count) & ~state.ended.all()

    def body(state: _State) -> _State:
        size = state.logits.shape[-1]
        log_p = jax.nn.log_softmax(state.logits.at[..., 0].set(-jnp.inf).astype(jnp.float32))
        # What has ended is continued by padding alone, which costs nothing.
        padding = jnp.where(jnp.arange(size) == 0, 0.0, -jnp.inf)
        total = state.total[..., None] + jnp.where(state.ended[..., None], padding, log_p)
        length = state.length + ~state.ended
        ranked = score(total, length[..., None]).reshape(batch, beams * size)
        chosen = lax.top_k(ranked, beams)[1]
        beam, tokens = chosen // size, (chosen % size).astype(jnp.int32)

        def of_beam(leaf: jax.Array) -> jax.Array:
            return jnp.take_along_axis(leaf, beam.reshape(*beam.shape, *[1] * (leaf.ndim - 2)), 1)

        text = of_beam(state.text).at[..., state.number].set(tokens)
        ended = of_beam(state.ended)
        for token in stops:
            ended |= tokens == token
        row = (jnp.arange(batch)[:, None] * beams + beam).reshape(-1)
        carry = jax.tree.map(lambda leaf: leaf[row], state.carry)
        carry, logits = stepper.step(prepared, carry, tokens.reshape(-1, 1))
        return _State(
            state.number + 1,
            text,
            jnp.take_along_axis(total.reshape(batch, -1), chosen, axis=1),
            of_beam(length),
            ended,
            jnp.asarray(logits).reshape(batch, beams, size),
            carry,
        )

    carry, logits = read_prompts(stepper, params, prompts, lengths, context, count=count)
    # All beams begin as the same text: one of them counts, or they would stay the same.
    total = jnp.where(jnp.arange(beams) == 0, 0.0, -jnp.inf)
    state = _State(
        jnp.array(0),
        jnp.zeros((batch, beams, count), jnp.int32),
        jnp.broadcast_to(total, (batch, beams)),
        jnp.zeros((batch, beams), jnp.int32),
        jnp.zeros((batch, beams), bool),
        jnp.repeat(logits[:, None], beams, axis=1),
        jax.tree.map(lambda leaf: jnp.repeat(leaf, beams, axis=0), carry),
    )
    state = lax.while_loop(unfinished, body, state)
    scores, order = lax.top_k(score(state.total, state.length), beams)
    return jnp.take_along_axis(state.text, order[..., None], axis=1), scores
