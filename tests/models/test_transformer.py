"""Transformers beyond the table: what no output may see, and what is refused."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.errors import UsageError
from dl_jax.models import transformer_encoder, transformer_lm, transformer_seq2seq
from dl_jax.models.transformers.blocks import transformer_blocks

KEY = jax.random.key(0)
SMALL = partial(transformer_lm, 11, 6, width=8, num_heads=2)
TOKENS = np.array([[1, 2, 3, 4]])


@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "rotary"])
def test_no_output_depends_on_a_token_after_it(positions):
    """The gradient of each step's outputs by the embedded tokens, each token being another."""
    model = SMALL(num_layers=2, positions=positions, tied=False)
    params, _ = jax.jit(model.init)(KEY)
    tokens = jnp.arange(1, 7)[None]

    def outputs(embedding):
        given = {**params, "embedding": {"embedding": embedding}}
        return model.apply(given, {}, tokens, train=False)[0][0].sum(-1)  # [T]

    by_token = jax.jit(jax.jacrev(outputs))(params["embedding"]["embedding"])[:, 1:7]
    depends = np.abs(np.asarray(by_token)).max(-1) > 0
    np.testing.assert_array_equal(depends, np.tril(np.ones((6, 6), bool)))


def jacobian(model, inputs):
    """Of the outputs at each step of the first text, by the embedding of each token."""
    params, _ = jax.jit(model.init)(KEY)

    def outputs(embedding):
        given = {**params, "embedding": {"embedding": embedding}}
        return model.apply(given, {}, inputs, train=False)[0][0].sum(-1)

    by_token = jax.jit(jax.jacrev(outputs))(params["embedding"]["embedding"])
    return np.abs(np.asarray(by_token)).max(-1) > 0


def test_an_encoder_sees_all_tokens_and_no_padding():
    model = transformer_encoder(11, 6, 3, width=8, num_heads=2, num_layers=2)
    depends = jacobian(model, jnp.array([[1, 2, 3, 4, 0, 0]]))
    expected = np.isin(np.arange(11), [1, 2, 3, 4])
    np.testing.assert_array_equal(depends[:4], np.tile(expected, (4, 1)))


def test_a_decoder_sees_its_source_and_what_it_has_written():
    """By the logit of a token that occurs in neither: the head is the embedding."""
    model = transformer_seq2seq(11, 6, 5, width=8, num_heads=2, num_layers=2)
    params, _ = jax.jit(model.init)(KEY)
    source, target = jnp.array([[1, 2, 3, 0, 0]]), jnp.array([[5, 6, 7, 8]])

    def last_logits(embedding):
        given = {**params, "embedding": {"embedding": embedding}}
        inputs = {"source": source, "target": target}
        return model.apply(given, {}, inputs, train=False)[0][0, :, 10]  # [T]

    by_token = jax.jit(jax.jacrev(last_logits))(params["embedding"]["embedding"])[:, :10]
    depends = np.abs(np.asarray(by_token)).max(-1) > 0
    written = np.tril(np.ones((4, 4), bool))
    expected = np.zeros((4, 10), bool)
    expected[:, 1:4], expected[:, 5:9] = True, written
    np.testing.assert_array_equal(depends, expected)


@pytest.mark.parametrize("per", ["text", "segment"])
def test_padding_changes_nothing(per):
    segments = {"segments": 3} if per == "segment" else {}
    model = transformer_encoder(11, 9, 2, per=per, **segments, width=8, num_layers=1)
    params, _ = jax.jit(model.init)(KEY)
    tokens, numbers = np.array([[1, 2, 3, 4], [5, 6, 0, 0]]), np.array([[0, 0, 1, 1], [2, 2, 0, 0]])

    def outputs(padding):
        given = [np.pad(array, ((0, 0), (0, padding))) for array in (tokens, numbers)]
        inputs = dict(zip(("tokens", "segments"), given, strict=True))
        return model.apply(params, {}, inputs if segments else given[0], train=False)[0]

    np.testing.assert_allclose(outputs(5), outputs(0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "inputs", "seen"),
    [
        (SMALL(num_layers=2), jnp.arange(1, 7)[None], np.tri(6, dtype=bool)),
        (
            transformer_encoder(11, 6, width=8, num_heads=2, num_layers=2),
            jnp.array([[1, 2, 3, 0, 0, 0]]),
            np.tile(np.arange(6) < 3, (6, 1)),
        ),
        (
            transformer_encoder(
                11, 4, 1, per="segment", segments=2, width=8, num_heads=2, num_layers=2
            ),
            {"tokens": jnp.array([[1, 2, 3, 0]]), "segments": jnp.array([[0, 1, 1, 0]])},
            np.tile(np.arange(4) < 3, (4, 1)),
        ),
        (
            transformer_seq2seq(11, 6, 5, width=8, num_heads=2, num_layers=2),
            {"source": jnp.array([[1, 2, 3, 0]]), "target": jnp.array([[4, 5]])},
            np.tile(np.arange(4) < 3, (2, 1)),
        ),
    ],
    ids=["transformer_lm", "transformer_encoder", "of segments", "transformer_seq2seq"],
)
def test_attention_shows_what_is_seen(model, inputs, seen):
    params, _ = jax.jit(model.init)(KEY)
    weights = np.asarray(jax.jit(model.attention)(params, inputs))
    assert weights.shape == (2, 1, 2, *seen.shape)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(weights > 0, np.broadcast_to(seen, weights.shape))
    assert np.abs(weights[0] - weights[1]).max() > 1e-3


def test_blocks_computed_again_are_the_same():
    def gradients(remat):
        blocks = transformer_blocks(8, 2, 3, remat=remat)
        params = blocks.init(KEY)
        x = jax.random.normal(KEY, (2, 5, 8))
        return jax.jit(jax.grad(lambda p: jnp.sin(blocks.apply(p, x, train=False)).sum()))(params)

    jax.tree.map(
        partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), *map(gradients, (False, True))
    )


def test_the_program_does_not_grow_with_the_depth():
    def length(depth):
        model = SMALL(num_layers=depth)
        params = jax.eval_shape(lambda: model.init(KEY)[0])
        loss = lambda p: model.apply(p, {}, TOKENS, train=True)[0].sum()  # noqa: E731
        return len(jax.jit(jax.grad(loss)).lower(params).as_text())

    assert length(24) < 1.05 * length(6)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: SMALL(num_layers=0), "num_layers=0"),
        (lambda: transformer_lm(11, 0), "max_length=0"),
        (lambda: SMALL(width=9), "width is 9, expected a multiple of the number of heads, 2"),
        (lambda: SMALL(positions="rotated"), "positions is 'rotated', expected one of"),
        (lambda: SMALL(norm="batch"), "norm is 'batch', expected one of layer, rms"),
        (lambda: SMALL(activation="tanh"), "activation is 'tanh', expected one of"),
        (lambda: SMALL(dropout_rate=1.0), "dropout_rate is 1.0"),
        (lambda: transformer_encoder(11, 6, per="word"), "per is 'word', expected one of"),
        (lambda: transformer_encoder(11, 6, 1, per="segment"), "segments is 0"),
        (lambda: transformer_encoder(11, 6, segments=2), "segments is 2"),
        (lambda: transformer_seq2seq(11, 0, 5), "max_length=0"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_what_is_no_transformer_is_refused(make, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        make()


def test_what_is_too_long_is_refused():
    model = SMALL(num_layers=1)
    params = jax.eval_shape(lambda: model.init(KEY)[0])
    long = jnp.ones((1, 7), jnp.int32)
    with pytest.raises(UsageError, match="got 7 tokens, expected at most 6: its max_length"):
        jax.eval_shape(lambda p: model.apply(p, {}, long, train=False), params)
    with pytest.raises(UsageError, match="got 7 tokens, expected at most 6: its max_length"):
        model.stepper.start(params, 1, 7)
