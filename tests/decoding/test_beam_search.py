"""Beam search against all texts there are, and against greedy choice."""

from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.decoding import beam_search, generate
from dl_jax.models import rnn_lm, transformer_lm

KEY = jax.random.key(2)
SIZE, COUNT, STOP = 5, 4, 3
MODELS = {
    "rnn_lm": rnn_lm(SIZE, embedding_dim=8, hidden_dim=16),
    "transformer_lm": transformer_lm(SIZE, 8, width=16, num_layers=1),
}
PROMPTS, LENGTHS = np.array([[1, 2, 4], [4, 0, 0]]), np.array([3, 1])


def params_of(model):
    return jax.tree.map(lambda leaf: 3 * leaf, jax.jit(model.init)(KEY)[0])


def all_texts():
    """Every text of at most COUNT tokens, padded: those that stop, and those of full length."""
    found = set()
    for tokens in product(range(1, SIZE), repeat=COUNT):
        end = tokens.index(STOP) + 1 if STOP in tokens else COUNT
        found.add(tokens[:end] + (0,) * (COUNT - end))
    return np.array(sorted(found))


@pytest.mark.parametrize("penalty", [0.0, 2.0])
@pytest.mark.parametrize("name", MODELS)
def test_enough_beams_find_the_best_of_all_texts(name, penalty):
    """Each text is read whole; probabilities are those of tokens other than padding."""
    model = MODELS[name]
    params, texts = params_of(model), all_texts()
    found = beam_search(
        model.stepper, params, PROMPTS, COUNT,
        beams=len(texts), length_penalty=penalty, stop=(STOP,), lengths=LENGTHS,
    )  # fmt: skip
    apply = jax.jit(partial(model.apply, train=False))
    bests = []
    for row, (prompt, length) in enumerate(zip(PROMPTS, LENGTHS, strict=True)):
        given = np.zeros((len(texts), 8), np.int32)
        given[:, :length] = prompt[:length]
        given[:, length : length + COUNT] = texts
        logits = apply(params, {}, given)[0].at[..., 0].set(-jnp.inf)
        log_p = np.asarray(jax.nn.log_softmax(logits))[:, length - 1 : length - 1 + COUNT]
        each = np.take_along_axis(log_p, texts[..., None], axis=-1)[..., 0]
        total = np.where(texts > 0, each, 0).sum(1)
        scores = total / ((5 + (texts > 0).sum(1)) / 6) ** penalty
        order = np.argsort(-scores)
        np.testing.assert_allclose(found.scores[row], scores[order], rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(found.tokens[row, 0], texts[order[0]])
        assert {tuple(text) for text in np.asarray(found.tokens[row]).tolist()} == {
            tuple(text) for text in texts.tolist()
        }
        bests.append(tuple(texts[order[0]]))
    assert len(set(bests)) == 2


@pytest.mark.parametrize("name", MODELS)
def test_one_beam_is_greedy(name):
    model = MODELS[name]
    params, options = params_of(model), {"lengths": LENGTHS, "stop": (STOP,)}
    found = beam_search(model.stepper, params, PROMPTS, COUNT, beams=1, **options)
    greedy = generate(model.stepper, params, PROMPTS, COUNT, **options)
    np.testing.assert_array_equal(found.tokens[:, 0], greedy)


def test_a_few_beams_are_better_than_greedy_and_no_better_than_all():
    model = MODELS["rnn_lm"]
    params = params_of(model)
    scores = [
        beam_search(model.stepper, params, PROMPTS, COUNT, beams=beams, length_penalty=0).scores
        for beams in (1, 3, 4**COUNT)
    ]
    one, few, every = (np.asarray(each)[:, 0] for each in scores)
    assert (one <= few + 1e-6).all()
    assert (few <= every + 1e-6).all()
    assert (one < every - 1e-3).any()
