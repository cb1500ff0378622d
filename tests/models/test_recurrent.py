"""Recurrent networks beyond the table: padding, going on from window to window, refusals."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.errors import UsageError
from dl_jax.models import (
    gru_classifier,
    lstm_classifier,
    mean_embedding_classifier,
    reset_rnn_classifier,
    rnn_classifier,
    rnn_lm,
    rnn_regressor,
)
from dl_jax.paths import path_names

KEY = jax.random.key(0)
TOKENS = np.array([[1, 8, 2, 3, 4], [9, 7, 0, 0, 0], [0, 0, 0, 0, 0]])
SIZES = {"embedding_dim": 5, "hidden_dim": 3}
CLASSIFIERS = {
    "lstm": partial(lstm_classifier, 11, 4, **SIZES, num_layers=2, bidirectional=True),
    "gru": partial(gru_classifier, 11, 4, **SIZES, pooling="mean"),
    "rnn": partial(rnn_classifier, 11, 4, **SIZES, pooling="max"),
    "reset_rnn": partial(reset_rnn_classifier, 11, 4, **SIZES),
    "mean_embedding": partial(mean_embedding_classifier, 11, 4, embedding_dim=5),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_padding_does_not_change_logits(name):
    """Nor gradients; and a text without tokens has finite ones."""
    model = CLASSIFIERS[name]()
    params, _ = jax.jit(model.init)(KEY)

    @jax.jit
    def run(params, tokens):
        def loss(params):
            logits, _ = model.apply(params, {}, tokens, train=False)
            return (logits * jnp.arange(1.0, 13).reshape(3, 4)).sum(), logits

        return jax.grad(loss, has_aux=True)(params)

    short, padded = run(params, TOKENS), run(params, np.pad(TOKENS, [(0, 0), (0, 40)]))
    for a, b in zip(jax.tree.leaves(short), jax.tree.leaves(padded), strict=True):
        assert np.isfinite(a).all()
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_recurrent_kernels_are_orthogonal_and_the_forget_gate_is_open():
    params, _ = jax.jit(lstm_classifier(7, 2, **SIZES).init)(KEY)
    cell = params["layer1"]["forward"]
    for kernel in np.split(np.asarray(cell["hidden"]["kernel"]), 4, axis=1):
        np.testing.assert_allclose(kernel.T @ kernel, np.eye(3), atol=1e-5)
    np.testing.assert_array_equal(cell["input"]["bias"].reshape(4, 3)[:, 0], [0, 1, 0, 0])
    assert path_names(params) == [
        "embedding/embedding", "head/bias", "head/kernel", "layer1/forward/hidden/kernel",
        "layer1/forward/input/bias", "layer1/forward/input/kernel",
    ]  # fmt: skip


def test_the_same_units_are_dropped_at_all_steps():
    """Of the outputs that the head sees, whose gradient shows which were kept."""
    model = rnn_lm(11, **SIZES, dropout_rate=0.5, variational=True)
    params, _ = jax.jit(model.init)(KEY)
    tokens = np.ones((6, 9), int)

    @partial(jax.jit, static_argnames="step")
    def slopes(step):
        def logit(kernel):
            changed = {**params, "head": {**params["head"], "kernel": kernel}}
            logits, _ = model.apply(changed, {}, tokens, train=True, key=KEY)
            return logits[:, step, 0]

        return jax.jacobian(logit)(params["head"]["kernel"])[:, :, 0]

    first, last = slopes(0) != 0, slopes(8) != 0
    np.testing.assert_array_equal(first, last)
    assert 0 < first.mean() < 1


def test_a_series_goes_on_where_it_stopped():
    model = rnn_regressor(2, 1, cell="lstm", hidden_dim=3, num_layers=2)
    params, _ = jax.jit(model.init)(KEY)
    series = jax.random.normal(KEY, (2, 7, 2))
    run = jax.jit(partial(model.apply, train=False))
    whole, _ = run(params, {}, series)
    (first, carry), _ = run(params, {}, (series[:, :3], None))
    (second, _), _ = run(params, {}, (series[:, 3:], carry))
    np.testing.assert_allclose(jnp.concatenate([first, second], 1), whole, rtol=1e-5, atol=1e-6)


def test_a_text_goes_on_where_it_stopped_and_begins_anew_where_it_is_reset():
    model = rnn_lm(11, **SIZES, num_layers=2)
    params, _ = jax.jit(model.init)(KEY)
    tokens = np.array([[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 1, 2]])
    run = jax.jit(partial(model.apply, train=False))
    whole, _ = run(params, {}, tokens)
    start = model.stepper.start(params, 2, 6)
    (first, carry), _ = run(params, {}, {"tokens": tokens[:, :4], "carry": start})
    (second, _), _ = run(params, {}, {"tokens": tokens[:, 4:], "carry": carry})
    np.testing.assert_allclose(jnp.concatenate([first, second], 1), whole, rtol=1e-5, atol=1e-6)
    resets = np.array([[False, False], [True, False]])
    anew = {"tokens": tokens[:, 4:], "carry": carry, "resets": resets}
    (third, _), _ = run(params, {}, anew)
    np.testing.assert_array_equal(third[0], second[0])
    (fresh, _), _ = run(params, {}, {"tokens": tokens[:, 4:], "carry": start})
    np.testing.assert_allclose(third[1], fresh[1], rtol=1e-6)
    assert np.abs(third[1] - second[1]).max() > 1e-3


def test_steps_give_what_the_whole_text_gives():
    model = rnn_lm(11, **SIZES, cell="gru")
    params, _ = jax.jit(model.init)(KEY)
    tokens, lengths = np.array([[1, 2, 3, 4], [5, 6, 0, 0]]), np.array([4, 2])
    whole, _ = jax.jit(partial(model.apply, train=False))(params, {}, tokens)
    carry = model.stepper.start(params, 2, 4)
    carry, logits = jax.jit(model.stepper.step)(params, carry, tokens, lengths)
    np.testing.assert_allclose(logits, whole[[0, 1], lengths - 1], rtol=1e-5, atol=1e-6)
    one_by_one = model.stepper.start(params, 1, 4)
    for t in range(2):
        one_by_one, last = jax.jit(model.stepper.step)(params, one_by_one, tokens[1:, t : t + 1])
    np.testing.assert_allclose(last[0], logits[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: lstm_classifier(0, 2), "vocab_size=0"),
        (lambda: lstm_classifier(5, 2, hidden_dim=0), "hidden_dim=0"),
        (lambda: lstm_classifier(5, 2, num_layers=0), "num_layers=0"),
        (lambda: lstm_classifier(5, 2, pooling="sum"), "pooling is 'sum', expected one of last"),
        (lambda: rnn_lm(5, cell="lstn"), "cell is 'lstn', expected one of gru"),
        (lambda: gru_classifier(5, 2, truncate=0), "truncate is 0"),
        (lambda: gru_classifier(5, 2, dropout_rate=1.0), "dropout_rate is 1.0"),
        (lambda: mean_embedding_classifier(5, 2, widths=(0,)), "widths=(0,)"),
        (lambda: rnn_regressor(2, 0), "outputs=0"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_sizes_out_of_range_are_refused(make, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        make()


@pytest.mark.parametrize(
    ("model", "inputs", "said"),
    [
        (rnn_classifier(5, 2), np.ones((2, 3), np.float32), "got inputs float32[2, 3], expected"),
        (rnn_lm(5), np.ones(3, np.int32), "rnn_lm got inputs int32[3], expected tokens"),
        (rnn_regressor(2, 1), np.ones((2, 3, 1), np.float32), "expected floats (batch, time, 2)"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(model, inputs, said):
    params, state = jax.eval_shape(model.init, KEY)
    with pytest.raises(UsageError, match=re.escape(said)):
        jax.eval_shape(partial(model.apply, train=False), params, state, inputs)
