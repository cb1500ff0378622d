"""What scripts on texts and music count, by hand."""

from functools import partial
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.data import Music, MusicData, MusicTokenizer, contiguous
from dl_jax.models import transformer_lm
from experiments.language import algorithms, masked_lm, music


class Words(NamedTuple):
    """Of a vocabulary whose last token is the unknown one."""

    size: int
    unknown: int


class Texts(NamedTuple):
    arrays: dict
    tokenizer: Words


def test_words_are_guessed_from_counts():
    """1 is the most frequent; 3 mostly follows 2; the unknown word 4 does not count."""
    words = Words(5, 4)
    train = np.array([[1, 1, 1, 2, 3, 0], [2, 3, 1, 4, 4, 4], [2, 1, 4, 4, 4, 0]])
    test = np.array([[2, 3, 1, 4], [4, 2, 1, 0]])
    found = masked_lm.baselines({"train": Texts({"tokens": train}, words),
                                 "test": Texts({"tokens": test}, words)})  # fmt: skip
    # To be found: 2 3 1 and 2 1. Behind 4 there is none known: the most frequent.
    assert found == {"unigram": 2 / 5, "bigram": 2 / 5}


@pytest.mark.parametrize("window", [1, 3, 4, 5])
def test_every_note_of_a_piece_counts_once(window):
    """The windows of a network that sees one note back give the loss of the piece as a whole."""
    tokenizer = MusicTokenizer(((60, 62, 64),))
    piece = np.random.default_rng(0).choice([60, 62, 64], (11, 1))
    tokens = np.array([*tokenizer.encode(piece), *tokenizer.encode(piece[:4])])
    begins = np.isin(np.arange(17), (0, 12))
    data = Music("piece", "test", {"tokens": tokens, "begins": begins}, window=window,
                 tokenizer=tokenizer, ordering=contiguous)  # fmt: skip
    table = np.random.default_rng(1).normal(size=(tokenizer.size, tokenizer.size))

    def apply(params, state, tokens, *, train):
        return params[tokens], state

    model = transformer_lm(3, 3, width=2, num_heads=1)._replace(apply=apply)
    fitted = type("Fitted", (), {"weights": (jnp.asarray(table)[None], {})})()
    found = music.loss_per_step(model, fitted, data)
    losses = -np.asarray(jax.nn.log_softmax(table))
    expected = [losses[a, b] for a, b in pairwise(tokens) if b != 1]
    np.testing.assert_allclose(found, [np.mean(expected)], rtol=1e-5)


def test_pieces_are_counted_as_they_were_written():
    tokens, begins = np.arange(12), np.isin(np.arange(12), (0, 2, 4, 6, 8, 10))
    config = music.Config(data=MusicData(transpose=1))
    np.testing.assert_array_equal(music.as_written(tokens, begins, config)[0], np.arange(4))


@pytest.mark.parametrize("task", algorithms.TASKS)
def test_no_sequence_of_the_test_is_shown_in_training(task):
    config = algorithms.Config(examples=400)
    data = algorithms.sequences(task, config)
    sources = {
        split: {tuple(np.trim_zeros(row, "b")) for row in each.arrays["source"]}
        for split, each in data.items()
    }
    assert not sources["train"] & (sources["validation"] | sources["test"])
    drawn = partial(algorithms.drawn, task, np.random.default_rng(0), longest=16, held_out=True)
    tested = drawn(lambda _, count: np.full(count, 2), 50)["source"]
    assert not sources["train"] & {tuple(np.trim_zeros(row, "b")) for row in tested}
    assert len(data["train"]) == 400
