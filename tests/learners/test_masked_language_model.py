"""Masked language modeling: what is hidden, and what counts."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl_jax.errors import UsageError
from dl_jax.functional import cross_entropy
from dl_jax.learners import example_keys, hide_tokens, masked_language_model
from dl_jax.models import transformer_encoder

KEY, MASK = jax.random.key(0), 40
TOKENS = np.random.default_rng(0).integers(1, MASK, (600, 50)).astype(np.int32)
TOKENS[:, 45:] = 0


def test_tokens_are_hidden_as_in_the_source():
    """15 % are chosen; of these 80 % are the mask, 10 % another token, 10 % themselves."""
    keys = jax.random.split(KEY, len(TOKENS))
    shown, chosen = map(np.asarray, jax.jit(hide_tokens, static_argnums=2)(TOKENS, keys, MASK))
    np.testing.assert_array_equal(shown[~chosen], TOKENS[~chosen])
    assert not chosen[:, 45:].any()
    np.testing.assert_allclose(chosen[:, :45].mean(), 0.15, atol=0.01)
    of, now = TOKENS[chosen], shown[chosen]
    np.testing.assert_allclose((now == MASK).mean(), 0.8, atol=0.02)
    np.testing.assert_allclose((now == of).mean(), 0.1, atol=0.02)
    others = now[(now != MASK) & (now != of)]
    assert set(others) == set(range(1, MASK))
    counts = chosen[:, :45].sum(1)
    assert counts.std() > 1  # each example has its own draws


def test_what_counts_is_what_was_chosen_in_evaluation_once_for_each_example():
    model = transformer_encoder(MASK + 1, 50, width=8, num_heads=2, num_layers=1)
    learner = masked_language_model(model, optax.adam(0.01), MASK)
    state = jax.jit(learner.init)(KEY)
    batch = {"tokens": TOKENS[:8], "index": np.arange(8)}
    found = jax.jit(learner.eval_step)(state, batch)
    hide_key, _ = jax.random.split(jax.random.fold_in(state.key, 0))
    shown, chosen = hide_tokens(TOKENS[:8], example_keys(hide_key, batch), MASK)
    logits, _ = model.apply(state.params, {}, shown, train=False)
    losses = np.asarray(cross_entropy(logits, TOKENS[:8]))[np.asarray(chosen)]
    np.testing.assert_allclose(found.means()["loss"], losses.mean(), rtol=1e-5)
    assert found.counts["loss"] == len(losses)
    halves = [
        jax.jit(learner.eval_step)(state, jax.tree.map(lambda leaf, at=at: leaf[at], batch))
        for at in (slice(4), slice(4, 8))
    ]
    np.testing.assert_allclose(halves[0].merge(halves[1]).means()["loss"], losses.mean(), rtol=1e-5)
    step = jax.jit(learner.train_step)
    state, first = step(state, batch)
    state, second = step(state, batch)
    assert first.counts["loss"] != second.counts["loss"]  # drawn anew


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda model: masked_language_model(model, optax.sgd(1), 1), "mask_token is 1"),
        (lambda model: masked_language_model(model, optax.sgd(1), 5, rate=0.0), "rate is 0"),
    ],
)
def test_what_is_out_of_range_is_refused(make, said):
    with pytest.raises(UsageError, match=said):
        make(transformer_encoder(6, 4, width=8, num_layers=1))


def test_a_batch_without_tokens_is_refused():
    model = transformer_encoder(6, 4, width=8, num_heads=2, num_layers=1)
    learner = masked_language_model(model, optax.sgd(1), 5)
    state = jax.eval_shape(learner.init, KEY)
    with pytest.raises(UsageError, match="expected tokens"):
        jax.eval_shape(learner.eval_step, state, {"text": jnp.ones((2, 3), jnp.int32)})
