"""Generation: one program that gives what stepping by hand gives, and strategies."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.decoding import generate, greedy, sample
from dl_jax.errors import UsageError
from dl_jax.models import rnn_lm, transformer_lm

MODEL = rnn_lm(9, embedding_dim=8, hidden_dim=16)
KEY = jax.random.key(3)
PARAMS = jax.tree.map(lambda leaf: 4 * leaf, MODEL.init(KEY)[0])  # sure of what it says
PROMPTS, LENGTHS = np.array([[1, 2, 3, 4], [5, 6, 0, 0], [7, 0, 0, 0]]), np.array([4, 2, 1])


MODELS = {
    "rnn_lm": MODEL,
    "transformer_lm": transformer_lm(9, 10, width=16, num_layers=2),
    "rotary": transformer_lm(9, 10, width=16, num_layers=2, positions="rotary", norm="rms"),
    "sinusoidal": transformer_lm(
        9, 10, width=16, num_layers=1, positions="sinusoidal", norm_first=False, tied=False
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_greedy_text_is_what_the_whole_network_finds_most_likely(name):
    """Read anew from the beginning for every token, each prompt by itself."""
    model = MODELS[name]
    params = jax.tree.map(lambda leaf: 4 * leaf, jax.jit(model.init)(KEY)[0])
    found = np.asarray(generate(model.stepper, params, PROMPTS, 6, lengths=LENGTHS))
    apply = jax.jit(partial(model.apply, train=False))
    for prompt, length, tokens in zip(PROMPTS, LENGTHS, found, strict=True):
        text = np.zeros(10, np.int32)  # nothing behind a token changes what follows it
        text[:length] = prompt[:length]
        for place, token in enumerate(tokens, int(length)):
            logits, _ = apply(params, {}, text[None])
            assert logits[0, place - 1, 1:].argmax() + 1 == token  # padding is no token
            text[place] = token
    assert len(np.unique(found)) > 2


def test_samples_follow_the_key_and_the_temperature():
    draw = partial(generate, MODEL.stepper, PARAMS, PROMPTS, 20)
    warm = draw(strategy=sample(1.0), key=KEY)
    np.testing.assert_array_equal(warm, draw(strategy=sample(1.0), key=KEY))
    assert (warm != draw(strategy=sample(1.0), key=jax.random.key(4))).any()
    assert (warm[:, :5] != warm[:, 5:10]).any()  # each token is drawn anew
    np.testing.assert_array_equal(draw(strategy=sample(1e-6), key=KEY), draw())


def test_padding_is_never_written():
    even = jax.tree.map(jnp.zeros_like, PARAMS)
    found = generate(MODEL.stepper, even, PROMPTS, 100, strategy=sample(1.0), key=KEY)
    assert set(np.unique(found)) == set(range(1, 9))


def test_tokens_are_drawn_with_their_probabilities():
    logits = jnp.log(jnp.array([0.5, 0.3, 0.2]))
    rows = jnp.broadcast_to(logits, (20_000, 3))
    for temperature in (1.0, 0.5):
        counts = np.bincount(sample(temperature)(rows, KEY), minlength=3) / 20_000
        np.testing.assert_allclose(counts, jax.nn.softmax(logits / temperature), atol=0.01)
    assert set(np.asarray(greedy(rows, KEY))) == {0}
    assert sample(0.5) is sample(0.5)


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (lambda: sample(0.0), "temperature is 0.0, expected greater than 0"),
        (lambda: generate(MODEL.stepper, PARAMS, PROMPTS, 0), "count is 0"),
        (lambda: generate(MODEL.stepper, PARAMS, PROMPTS[:, :0], 3), "prompts are int64[3, 0]"),
        (
            lambda: generate(MODEL.stepper, PARAMS, PROMPTS, 3, lengths=np.array([1, 0, 2])),
            "a prompt has no tokens",
        ),
        (
            lambda: generate(MODEL.stepper, PARAMS, PROMPTS + 2, 3),
            "prompts have tokens from 2 to 9, expected 0 to 8",
        ),
        (
            lambda: generate(MODEL.stepper, PARAMS, PROMPTS, 3, strategy=sample(1.0)),
            "a strategy that draws needs a key",
        ),
    ],
)
def test_what_cannot_be_continued_is_refused(run, said):
    said = said.replace("int64", str(jnp.asarray(PROMPTS).dtype))
    with pytest.raises(UsageError, match=re.escape(said)):
        run()
