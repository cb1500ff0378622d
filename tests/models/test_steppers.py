"""Generation token by token knows no architecture: of an LSTM and of a transformer."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.functional import (
    dense,
    embed,
    empty_cache,
    lstm_cell,
    multi_head_attention,
    scan_cell,
    sinusoidal_positions,
)
from dl_jax.models import Model, Stepper

VOCABULARY, WIDTH, HEADS = 11, 16, 2


def lstm() -> Model:
    def init(key):
        keys = jax.random.split(key, 4)
        return {
            "embed": jax.random.normal(keys[3], (VOCABULARY, WIDTH)),
            "cell": {
                "input": {"kernel": 0.4 * jax.random.normal(keys[0], (WIDTH, 4 * WIDTH))},
                "hidden": {"kernel": 0.4 * jax.random.normal(keys[1], (WIDTH, 4 * WIDTH))},
            },
            "head": {"kernel": jax.random.normal(keys[2], (WIDTH, VOCABULARY))},
        }, {}

    def start(params, batch_size, max_length, context=None):
        return jnp.zeros((batch_size, WIDTH)), jnp.zeros((batch_size, WIDTH))

    def step(params, carry, tokens, lengths=None):
        x = embed(tokens, params["embed"])
        carry, _ = scan_cell(lstm_cell, params["cell"], carry, x, lengths=lengths)
        return carry, dense(carry[1], **params["head"])

    return Model(init, lambda *_, **__: None, stepper=Stepper(start, step))


def transformer() -> Model:
    def init(key):
        keys = iter(jax.random.split(key, 8))
        size = WIDTH // HEADS
        projections = {n: {"kernel": 0.4 * jax.random.normal(next(keys), (WIDTH, HEADS, size))}
                       for n in ("query", "key", "value")}  # fmt: skip
        out = {"out": {"kernel": jax.random.normal(next(keys), (HEADS, size, WIDTH))}}
        return {
            "embed": jax.random.normal(next(keys), (VOCABULARY, WIDTH)),
            "attention": projections | out,
            "head": {"kernel": jax.random.normal(next(keys), (WIDTH, VOCABULARY))},
        }, {}

    def start(params, batch_size, max_length, context=None):
        return empty_cache(batch_size, max_length, HEADS, WIDTH // HEADS), jnp.zeros(
            batch_size, int
        )

    def step(params, carry, tokens, lengths=None):
        cache, position = carry
        lengths = jnp.full(len(tokens), tokens.shape[1]) if lengths is None else lengths
        positions = position[:, None] + jnp.arange(tokens.shape[1])[None]
        codes = sinusoidal_positions(cache.key.shape[1], WIDTH)
        x = embed(tokens, params["embed"]) + codes.at[positions].get(mode="clip")
        y, cache = multi_head_attention(x, **params["attention"], positions=positions, cache=cache)
        last = jnp.take_along_axis(x + y, (lengths - 1)[:, None, None], axis=1)[:, 0]
        return (cache, position + lengths), dense(last, **params["head"])

    return Model(init, lambda *_, **__: None, stepper=Stepper(start, step))


def greedy(stepper: Stepper) -> Callable[..., jax.Array]:
    """The most likely continuations of a batch of prompts."""

    @partial(jax.jit, static_argnames="count")
    def generate(params, tokens, lengths, count):
        carry = stepper.start(params, len(tokens), tokens.shape[1] + count)
        carry, logits = stepper.step(params, carry, tokens, lengths)

        def step(state, _):
            carry, token = state
            carry, logits = stepper.step(params, carry, token[:, None])
            return (carry, logits.argmax(-1)), token

        return jax.lax.scan(step, (carry, logits.argmax(-1)), length=count)[1].T

    return generate


@pytest.mark.parametrize("make_model", [lstm, transformer])
def test_prompts_of_a_batch_do_not_disturb_each_other(make_model):
    model = make_model()
    params, _ = jax.jit(model.init)(jax.random.key(7))
    generate = greedy(model.stepper)
    prompts = np.array([[1, 2, 3, 4, 5, 6], [7, 0, 0, 0, 0, 0], [8, 9, 10, 0, 0, 0]])
    lengths = np.array([6, 1, 3])
    together = generate(params, prompts, lengths, 8)
    assert together.shape == (3, 8)
    for prompt, length, expected in zip(prompts, lengths, together, strict=True):
        alone = generate(params, prompt[None, :length], length[None], 8)
        np.testing.assert_array_equal(alone[0], expected)
    assert len(np.unique(together)) > 2
