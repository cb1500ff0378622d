"""Language modeling: what is carried on, where it is reset, and that the gradient stays behind."""

import re
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl_jax.errors import UsageError
from dl_jax.functional import cross_entropy
from dl_jax.learners import language_model, local_mesh, over_seeds, sharded
from dl_jax.models import mlp, rnn_lm

MODEL = rnn_lm(7, embedding_dim=4, hidden_dim=5, num_layers=2)
TEXT = np.random.default_rng(0).integers(1, 7, (8, 13)).astype(np.int32)
KEY = jax.random.key(0)


def windows(*, reset=True):
    """The text in two windows, each with the token that follows."""
    first = {"tokens": TEXT[:, :7], "reset": np.full(8, reset)}
    return first, {"tokens": TEXT[:, 6:], "reset": np.full(8, False)}


def losses(params, tokens):
    logits, _ = MODEL.apply(params, {}, tokens[:, :-1], train=False)
    return cross_entropy(logits, tokens[:, 1:])


def trained(learner, batches, key=KEY):
    state, means, step = jax.jit(learner.init)(key), [], jax.jit(learner.train_step)
    for batch in batches:
        state, metrics = step(state, batch)
        means.append(metrics.means()["loss"])
    return state, np.array(means)


def test_windows_that_follow_each_other_are_read_as_one_text():
    learner = language_model(MODEL, optax.set_to_zero(), carry_on=8)
    state, means = trained(learner, windows())
    whole = np.asarray(losses(state.params, TEXT))
    np.testing.assert_allclose(means, [whole[:, :6].mean(), whole[:, 6:].mean()], rtol=1e-5)
    alone = language_model(MODEL, optax.set_to_zero())
    _, forgetful = trained(alone, [{"tokens": batch["tokens"]} for batch in windows()])
    np.testing.assert_allclose(forgetful[0], means[0], rtol=1e-5)
    assert abs(forgetful[1] - means[1]) > 1e-4


def test_a_window_of_the_whole_text_has_the_whole_gradient_and_a_shorter_one_has_not():
    learner = language_model(MODEL, optax.sgd(1.0), carry_on=8)
    batch = {"tokens": TEXT, "reset": np.full(8, True)}
    state, _ = trained(learner, [batch])
    start = jax.jit(learner.init)(KEY).params

    @jax.jit
    def full(params):
        return jax.grad(lambda params: losses(params, TEXT).mean())(params)

    @jax.jit
    def second_half(params):
        return jax.grad(lambda params: losses(params, TEXT)[:, 6:].mean())(params)

    moved = jax.tree.map(jnp.subtract, start, state.params)
    for a, b in zip(jax.tree.leaves(moved), jax.tree.leaves(full(start)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)

    # The second window of two: what it begins with is given, and has no gradient.
    frozen = language_model(MODEL, optax.set_to_zero(), carry_on=8)
    between, _ = trained(frozen, windows()[:1])
    between = replace(between, opt_state=jax.jit(learner.init)(KEY).opt_state)
    after, _ = jax.jit(learner.train_step)(between, windows()[1])
    moved = jax.tree.map(jnp.subtract, between.params, after.params)
    difference = [
        np.abs(a - b).max()
        for a, b in zip(jax.tree.leaves(moved), jax.tree.leaves(second_half(start)), strict=True)
    ]
    assert max(difference) > 1e-4


def test_a_text_that_begins_within_a_window_is_read_from_zero():
    learner = language_model(MODEL, optax.set_to_zero(), carry_on=8)
    first, second = windows()
    begins = np.zeros((8, 7), bool)
    begins[1, 2] = begins[2, 0] = True
    state, means = trained(learner, [first, {**second, "begins": begins}])
    whole = np.asarray(losses(state.params, TEXT))[:, 6:].copy()
    whole[1, 2:] = losses(state.params, TEXT[1:2, 8:])
    whole[2] = losses(state.params, TEXT[2:3, 6:])
    np.testing.assert_allclose(means[1], whole.mean(), rtol=1e-5)


@pytest.mark.parametrize("kind", ["seeds", "sharded", "microbatches"])
def test_it_is_the_same_over_seeds_sharded_and_in_microbatches(kind):
    make = partial(language_model, MODEL, optax.adam(1e-2), carry_on=8)
    batches = windows() * 2
    if kind == "seeds":
        doubled = [jax.tree.map(lambda leaf: np.stack([leaf] * 2), batch) for batch in batches]
        state, means = trained(over_seeds(make(), 2), doubled)
        expected = trained(make(), batches, jax.random.split(KEY, 2)[1])
        means = means[:, 1]
        carry = jax.tree.map(lambda leaf: leaf[1], state.carry)
    else:
        other = make(microbatches=2) if kind == "microbatches" else sharded(make(), local_mesh())
        state, means = trained(other, batches)
        expected, carry = trained(make(), batches), state.carry
    np.testing.assert_allclose(means, expected[1], rtol=1e-4)
    for a, b in zip(jax.tree.leaves(carry), jax.tree.leaves(expected[0].carry), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_what_does_not_fit_is_refused():
    with pytest.raises(UsageError, match="carry_on needs a model with a stepper, such as rnn_lm"):
        language_model(mlp((4,), (), 2), optax.sgd(1.0), carry_on=4)
    learner = language_model(MODEL, optax.sgd(1.0))
    state = jax.eval_shape(learner.init, KEY)
    with pytest.raises(UsageError, match=re.escape("the batch has text, expected tokens")):
        jax.eval_shape(learner.train_step, state, {"text": TEXT})
    learner = language_model(MODEL, optax.sgd(1.0), carry_on=8)
    state = jax.eval_shape(learner.init, KEY)
    with pytest.raises(UsageError, match="does not say where texts begin anew"):
        jax.eval_shape(learner.train_step, state, {"tokens": TEXT[:8]})
