"""Generation: one program that gives what stepping by hand gives, and strategies."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.decoding import beam_search, generate, greedy, sample, stream
from dl_jax.errors import UsageError
from dl_jax.models import rnn_lm, transformer_lm, transformer_seq2seq

MODEL = rnn_lm(9, embedding_dim=8, hidden_dim=16)
KEY = jax.random.key(3)
PARAMS = jax.tree.map(lambda leaf: 4 * leaf, MODEL.init(KEY)[0])  # sure of what it says
DRAW = sample(1.0)
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


def test_a_text_about_a_source_is_what_the_whole_network_finds_most_likely():
    """Also by beam search, whose rows of the context follow their prompts."""
    model = transformer_seq2seq(9, 5, 8, width=16, num_layers=2)
    params = jax.tree.map(lambda leaf: 3 * leaf, jax.jit(model.init)(KEY)[0])
    sources, prompts = np.array([[1, 2, 3, 0, 0], [8, 7, 6, 5, 4]]), np.array([[1], [1]])
    found = np.asarray(generate(model.stepper, params, prompts, 5, context=sources))
    beams = beam_search(
        model.stepper, params, prompts, 5, beams=3, length_penalty=0, context=sources
    )
    apply = jax.jit(partial(model.apply, train=False))

    def whole(source, text):
        target = np.zeros((1, 8), np.int32)
        target[0, : len(text)] = text
        logits = apply(params, {}, {"source": source[None], "target": target})[0][0]
        return jax.nn.log_softmax(logits.at[:, 0].set(-jnp.inf))

    for row, source in enumerate(sources):
        text = [1]
        for token in found[row]:
            assert whole(source, text)[len(text) - 1].argmax() == token
            text.append(token)
        for tokens, score in zip(beams.tokens[row], beams.scores[row], strict=True):
            log_p = whole(source, [1, *np.asarray(tokens)])
            np.testing.assert_allclose(
                sum(log_p[place, token] for place, token in enumerate(np.asarray(tokens))),
                score, rtol=1e-4, atol=1e-4,
            )  # fmt: skip
    assert (found[0] != found[1]).any()


def test_samples_follow_the_key_and_the_temperature():
    draw = partial(generate, MODEL.stepper, PARAMS, PROMPTS, 20)
    warm = draw(strategy=sample(1.0), key=KEY)
    np.testing.assert_array_equal(warm, draw(strategy=sample(1.0), key=KEY))
    assert (warm != draw(strategy=sample(1.0), key=jax.random.key(4))).any()
    assert (warm[:, :5] != warm[:, 5:10]).any()  # each token is drawn anew
    np.testing.assert_array_equal(draw(strategy=sample(1e-6), key=KEY), draw())


@pytest.mark.parametrize("strategy", [greedy, sample(1.0)])
@pytest.mark.parametrize("name", ["rnn_lm", "rotary"])
def test_a_stream_is_what_is_generated(name, strategy):
    model = MODELS[name]
    params = jax.jit(model.init)(KEY)[0]
    arguments = (model.stepper, params, PROMPTS, 6)
    options = {"lengths": LENGTHS, "strategy": strategy, "key": KEY, "never": (5,)}
    streamed = np.stack(list(stream(*arguments, **options)), axis=1)
    np.testing.assert_array_equal(streamed, generate(*arguments, **options))


def test_a_text_ends_with_the_token_that_stops_it():
    """The others go on, and it is what it would have been, up to there."""
    whole = np.asarray(generate(MODEL.stepper, PARAMS, PROMPTS, 12, strategy=DRAW, key=KEY))
    stops = (4, 7)
    found = np.asarray(
        generate(MODEL.stepper, PARAMS, PROMPTS, 12, strategy=DRAW, key=KEY, stop=stops)
    )
    lengths = []
    for tokens, stopped in zip(whole, found, strict=True):
        ends = np.flatnonzero(np.isin(tokens, stops))
        lengths.append(ends[0] + 1 if ends.size else 12)
        np.testing.assert_array_equal(stopped, np.where(np.arange(12) < lengths[-1], tokens, 0))
    assert len(set(lengths)) == 3


def test_padding_is_never_written():
    even = jax.tree.map(jnp.zeros_like, PARAMS)
    found = generate(MODEL.stepper, even, PROMPTS, 100, strategy=sample(1.0), key=KEY)
    assert set(np.unique(found)) == set(range(1, 9))
    some = partial(
        generate, MODEL.stepper, even, PROMPTS, 100, strategy=DRAW, never=(2, 8), key=KEY
    )
    assert set(np.unique(some())) == {1, *range(3, 8)}


def test_tokens_are_drawn_with_their_probabilities():
    logits = jnp.log(jnp.array([0.5, 0.3, 0.2]))
    rows = jnp.broadcast_to(logits, (20_000, 3))
    for temperature in (1.0, 0.5):
        counts = np.bincount(sample(temperature)(rows, KEY), minlength=3) / 20_000
        np.testing.assert_allclose(counts, jax.nn.softmax(logits / temperature), atol=0.01)
    assert set(np.asarray(greedy(rows, KEY))) == {0}
    assert sample(0.5) is sample(0.5)


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"top_k": 1}, [0]),
        ({"top_k": 2}, [0, 1]),
        ({"top_k": 9}, [0, 1, 2, 3]),
        ({"top_p": 1.0}, [0, 1, 2, 3]),
        ({"top_p": 0.41}, [0, 1]),
        ({"top_p": 0.39}, [0]),
        ({"top_p": 1e-6}, [0]),
        ({"top_k": 2, "top_p": 0.5}, [0]),  # 4/7 of what top_k leaves
    ],
)
def test_what_is_unlikely_is_left_out(options, kept):
    """And what is kept has the proportions that it had."""
    p = np.array([0.4, 0.3, 0.2, 0.1])
    order = np.array([2, 0, 3, 1])  # the tokens are not in the order of their probability
    rows = jnp.broadcast_to(jnp.log(p)[np.argsort(order)], (20_000, 4))
    counts = np.bincount(np.asarray(sample(1.0, **options)(rows, KEY)), minlength=4)[order]
    expected = np.where(np.isin(np.arange(4), kept), p, 0)
    np.testing.assert_allclose(counts / 20_000, expected / expected.sum(), atol=0.01)


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (lambda: sample(0.0), "temperature is 0.0, expected greater than 0"),
        (lambda: sample(top_k=0), "top_k is 0"),
        (lambda: sample(top_p=0.0), "top_p is 0.0"),
        (lambda: sample(top_p=1.1), "top_p is 1.1"),
        (lambda: beam_search(MODEL.stepper, PARAMS, PROMPTS, 3, beams=0), "beams is 0"),
        (
            lambda: beam_search(MODEL.stepper, PARAMS, PROMPTS, 3, length_penalty=-1.0),
            "length_penalty is -1.0",
        ),
        (
            lambda: generate(
                transformer_seq2seq(9, 5, 8, width=8, num_layers=1).stepper,
                jax.eval_shape(
                    lambda: transformer_seq2seq(9, 5, 8, width=8, num_layers=1).init(KEY)[0]
                ),
                PROMPTS,
                3,
            ),
            "transformer_seq2seq writes about a source: pass context, tokens of 3 sources",
        ),
        (lambda: stream(MODEL.stepper, PARAMS, PROMPTS, 0), "count is 0"),
        (lambda: generate(MODEL.stepper, PARAMS, PROMPTS, 0), "count is 0"),
        (lambda: generate(MODEL.stepper, PARAMS, PROMPTS[:, :0], 3), "prompts are int64[3, 0]"),
        (
            lambda: generate(MODEL.stepper, PARAMS, PROMPTS, 3, lengths=np.array([1, 0, 2])),
            "a prompt has no tokens",
        ),
        (
            lambda: generate(MODEL.stepper, PARAMS, PROMPTS, 3, lengths=np.array([1, 5, 2])),
            "a prompt has length 5, expected at most the 4 tokens that prompts have",
        ),
        (
            lambda: generate(MODEL.stepper, PARAMS, PROMPTS, 3, lengths=np.array([2])),
            "lengths are int64[1], expected an integer for each of 3 prompts",
        ),
        (
            lambda: stream(MODEL.stepper, PARAMS, PROMPTS, 3, never=(-1,)),
            "-1 is no token that can be chosen, expected 0 to 8",
        ),
        (
            lambda: beam_search(MODEL.stepper, PARAMS, PROMPTS, 3, stop=(9,)),
            "9 is no token that can be chosen, expected 0 to 8",
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
