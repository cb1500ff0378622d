"""The scan beyond the table: float32 sums, padding, windows, its loop, and its derivatives."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.functional import GatedCell, lstm_cell, rnn_cell, scan_cell
from tests.functional.rows.sequences import CELLS, parameters, scanned, start

TIME = 40  # more than a block of the backward pass


def problem(cell, time=TIME, batch=3, hidden=4):
    """Parameters, carry and inputs."""
    random = np.random.default_rng(0)
    params = parameters(random, CELLS[cell][2], 3, hidden, True)
    params["hidden"]["kernel"] /= 2
    drawn = params, start(random, cell, batch, hidden), random.normal(size=(batch, time, 3))
    return jax.tree.map(lambda leaf: leaf.astype(np.float32), drawn)


def total(results):
    """A sum in which no two numbers weigh the same."""
    return sum(
        (leaf * jnp.cos(jnp.arange(leaf.size)).reshape(leaf.shape)).sum()
        for leaf in jax.tree.leaves(results)
    )


def close(actual, expected, tolerance=1e-4):
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, e, rtol=0, atol=tolerance * max(1, np.abs(e).max()))


def test_gradients_of_parameters_are_summed_in_float32():
    """Added up step by step in bfloat16, two thousand ones are 256."""
    half = jax.tree.map(
        lambda leaf: np.zeros(leaf.shape, jnp.bfloat16),
        parameters(np.random.default_rng(0), 1, 3, 4, True),
    )
    x, h = np.zeros((1, 2000, 3), jnp.bfloat16), np.zeros((1, 4), jnp.bfloat16)

    def total(params, plain):
        return scan_cell(rnn_cell, params, h, x, plain=plain)[1].astype(jnp.float32).sum()

    for plain in (False, True):
        gradient = jax.jit(jax.grad(partial(total, plain=plain)))(half)
        np.testing.assert_allclose(gradient["input"]["bias"].astype(float), 2000, rtol=0.01)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_what_the_padding_holds_does_not_change_anything(plain, reverse):
    params, carry, x = problem("lstm")
    lengths = np.array([3, TIME - 1, 0])

    @jax.jit
    def results(x):
        def loss(params, carry, x):
            found = scanned(
                params, carry, x, cell="lstm", lengths=lengths, reverse=reverse, plain=plain
            )
            return total(found), found

        return jax.grad(loss, (0, 1, 2), has_aux=True)(params, carry, x)

    padding = np.arange(TIME)[:, None] >= lengths[:, None, None]
    zero, nan = (results(np.where(padding, np.float32(fill), x)) for fill in (0, np.nan))
    jax.tree.map(np.testing.assert_array_equal, nan, zero)
    assert not np.any(np.where(padding, nan[1][1], 0))  # outputs
    assert not np.any(np.where(padding, nan[0][2], 0))  # gradients of the inputs


@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_are_those_of_the_scan_by_jax_whatever_is_marked(reverse):
    """Lengths, resets and windows together, over several blocks, one of them not whole."""
    given = problem("gru")
    options = {
        "cell": "gru",
        "lengths": np.array([3, TIME - 1, 0]),
        "resets": np.random.default_rng(1).random((3, TIME)) < 0.1,
        "truncate": 5,
        "reverse": reverse,
    }

    @partial(jax.jit, static_argnames="plain")
    def gradients(given, plain):
        return jax.grad(lambda given: total(scanned(*given, **options, plain=plain)))(given)

    close(gradients(given, plain=False), gradients(given, plain=True))


def test_a_window_is_what_the_gradient_goes_back_through():
    params, carry, x = problem("lstm")

    @partial(jax.jit, static_argnames=("window", "plain"))
    def truncated(params, window, plain=False):
        def last(params):
            return total(scanned(params, carry, x, cell="lstm", truncate=window, plain=plain)[0])

        return jax.value_and_grad(last)(params)

    @jax.jit
    def of_the_last_seven_steps(params):
        before, _ = scanned(params, carry, x[:, :-7], cell="lstm")
        return jax.grad(lambda params: total(scanned(params, before, x[:, -7:], cell="lstm")[0]))(
            params
        )

    whole = truncated(params, None)
    close(truncated(params, 7), (whole[0], of_the_last_seven_steps(params)))
    close(truncated(params, 7, plain=True), truncated(params, 7))
    close(truncated(params, TIME), whole, 1e-6)
    assert np.abs(whole[1]["hidden"]["kernel"] - truncated(params, 7)[1]["hidden"]["kernel"]).max()


def test_windows_are_counted_from_the_end_of_each_sequence():
    params, carry, x = problem("rnn")

    def last(x, lengths):
        final, _ = scanned(params, carry, x, cell="rnn", lengths=lengths, truncate=4)
        return total(final)

    lengths = np.array([6, TIME, 2])
    gradient = np.abs(jax.jit(jax.grad(last))(x, lengths)).sum(-1)
    reached = np.arange(TIME) >= lengths[:, None] - 4
    np.testing.assert_array_equal(gradient != 0, reached & (np.arange(TIME) < lengths[:, None]))


def test_no_step_is_taken_behind_the_longest_sequence_of_all_replicas():
    taken = []

    def update(h, a):
        jax.debug.callback(lambda: taken.append(1))
        return jnp.tanh(h + a)

    params, carry, x = problem("rnn")

    def last(lengths):
        return scan_cell(GatedCell(update), params, carry, x, lengths=lengths)[0]

    lengths = np.array([[3, 11, 0], [2, 7, 5]])
    jax.block_until_ready(jax.jit(last)(lengths[1]))
    assert len(taken) == 7
    together = jax.vmap(last)
    jax.block_until_ready(jax.jit(together)(lengths))
    assert len(taken) == 7 + 11
    # A loop that each replica leaves by itself asks whether any goes on, and selects at every step.
    assert "reduce_or" not in str(jax.make_jaxpr(together)(lengths))


def test_forward_mode_and_second_derivatives_are_there_on_request():
    given = problem("lstm", time=6)
    loss = lambda given, plain=True: total(scanned(*given, cell="lstm", plain=plain))  # noqa: E731
    ones = jax.tree.map(jnp.ones_like, given)
    _, slope = jax.jit(lambda given: jax.jvp(loss, (given,), (ones,)))(given)
    gradient = jax.jit(jax.grad(partial(loss, plain=False)))(given)
    np.testing.assert_allclose(
        slope, sum(leaf.sum() for leaf in jax.tree.leaves(gradient)), rtol=1e-4
    )

    @jax.jit
    def curvature(given):
        return jax.grad(lambda given: jax.jvp(loss, (given,), (ones,))[1])(given)

    step = 1e-2
    moved = [
        jax.jit(jax.grad(loss))(jax.tree.map(lambda a, s=s: a + s * step, given)) for s in (1, -1)
    ]
    differences = jax.tree.map(lambda a, b: (a - b) / (2 * step), *moved)
    close(curvature(given), differences, 2e-2)


def test_any_function_of_the_same_form_is_a_cell():
    params, carry, x = problem("lstm")

    def own(params, carry, inputs):
        return lstm_cell(params, carry, inputs)

    close(
        jax.jit(lambda: scan_cell(own, params, carry, x, lengths=np.array([3, 5, 40])))(),
        jax.jit(lambda: scan_cell(lstm_cell, params, carry, x, lengths=np.array([3, 5, 40])))(),
        1e-6,
    )


def test_the_carry_of_a_cell_of_ones_own_has_any_shape():
    """A matrix for each sequence, as many rows as there are sequences: which axis is the batch?"""
    x = np.random.default_rng(0).normal(size=(3, 4, 3)).astype(np.float32)
    resets = np.zeros((3, 4), bool)
    resets[2, 1] = True

    def memory(params, carry, inputs):
        del params
        carry = carry + inputs[:, :, None] * inputs[:, None]
        return carry, carry[:, 0]

    final, _ = scan_cell(
        memory, {}, np.zeros((3, 3, 3), np.float32), x, lengths=np.array([4, 1, 2]), resets=resets
    )
    read = [x[0], x[1, :1], x[2, 1:2]]
    close(final, np.stack([each.T @ each for each in read]), 1e-6)


def test_a_window_of_no_steps_is_refused():
    params, carry, x = problem("rnn")
    with pytest.raises(ValueError, match="truncate is 0, expected at least 1 step"):
        scan_cell(rnn_cell, params, carry, x, truncate=0)
