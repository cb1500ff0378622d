"""Recurrent cells, against torch's, and the scan along sequences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.functional import gru_cell, lstm_cell, reset_rnn_cell, rnn_cell, scan_cell

FEATURES, HIDDEN = 3, 4
CELLS = {"rnn": (rnn_cell, 1), "gru": (gru_cell, 3), "lstm": (lstm_cell, 4)}
ALL = {**CELLS, "reset": (reset_rnn_cell, 2)}


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def parameters(parts):
    return {
        "input": {"kernel": normal(0, FEATURES, parts * HIDDEN), "bias": normal(1, parts * HIDDEN)},
        "hidden": {"kernel": normal(2, HIDDEN, parts * HIDDEN), "bias": normal(3, parts * HIDDEN)},
    }


def start(name, batch=2):
    h = normal(4, batch, HIDDEN)
    return (normal(5, batch, HIDDEN), h) if name == "lstm" else h


def close(actual, expected, tolerance=2e-5):
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, e, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", CELLS)
def test_values_and_gradients_are_those_of_torch(name):
    """A whole sequence, with the gradients of all parameters through time."""
    torch = pytest.importorskip("torch")
    cell, parts = CELLS[name]
    params, x = parameters(parts), normal(6, 2, 5, FEATURES)
    layer = getattr(torch.nn, name.upper())(FEATURES, HIDDEN, batch_first=True)
    pairs = [
        ("weight_ih_l0", params["input"]["kernel"].T), ("bias_ih_l0", params["input"]["bias"]),
        ("weight_hh_l0", params["hidden"]["kernel"].T), ("bias_hh_l0", params["hidden"]["bias"]),
    ]  # fmt: skip
    with torch.no_grad():
        for attribute, value in pairs:
            getattr(layer, attribute).copy_(torch.tensor(np.asarray(value)))
    carry = start(name)
    # PyTorch's LSTM has its state as (h, c).
    as_torch = [torch.tensor(np.asarray(c))[None] for c in jax.tree.leaves(carry)]
    state = (as_torch[1], as_torch[0]) if name == "lstm" else as_torch[0]
    expected, _ = layer(torch.tensor(np.asarray(x)), state)
    expected.sin().sum().backward()

    _, outputs = scan_cell(cell, params, carry, x)
    close(outputs, expected.detach().numpy())
    gradients = jax.grad(lambda p: jnp.sin(scan_cell(cell, p, carry, x)[1]).sum())(params)
    for layer_name, end in (("input", "ih_l0"), ("hidden", "hh_l0")):
        close(gradients[layer_name]["kernel"], getattr(layer, f"weight_{end}").grad.numpy().T)
        close(gradients[layer_name]["bias"], getattr(layer, f"bias_{end}").grad.numpy())


def test_reset_cell_is_a_gru_that_never_updates():
    """With an update gate held at zero, the GRU is the cell with the reset gate alone."""
    params, x, carry = parameters(3), normal(6, 2, FEATURES), start("reset")
    shut = jnp.zeros(3 * HIDDEN).at[HIDDEN : 2 * HIDDEN].set(-1e4)
    gru = {**params, "input": {**params["input"], "bias": params["input"]["bias"] + shut}}
    keep = np.r_[0:HIDDEN, 2 * HIDDEN : 3 * HIDDEN]
    reset = jax.tree.map(lambda leaf: leaf[..., keep], params)
    close(reset_rnn_cell(reset, carry, x), gru_cell(gru, carry, x))
    ours = jax.grad(lambda p: jnp.sin(reset_rnn_cell(p, carry, x)[1]).sum())(reset)
    theirs = jax.grad(lambda p: jnp.sin(gru_cell(p, carry, x)[1]).sum())(gru)
    close(ours, jax.tree.map(lambda leaf: leaf[..., keep], theirs))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("reverse", [False, True])
def test_scan_is_the_loop(name, reverse):
    cell, parts = ALL[name]
    params, x, carry = parameters(parts), normal(6, 2, 5, FEATURES), start(name)
    expected, outputs = carry, [None] * 5
    for t in reversed(range(5)) if reverse else range(5):
        expected, outputs[t] = cell(params, expected, x[:, t])
    for unroll in (1, 3):
        last, actual = scan_cell(cell, params, carry, x, reverse=reverse, unroll=unroll)
        close((last, actual), (expected, jnp.stack(outputs, 1)))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dtype", [bool, np.int32, np.float32])
def test_padding_does_not_change_outputs_or_gradients(name, reverse, dtype):
    cell, parts = ALL[name]
    params, x, carry = parameters(parts), normal(6, 2, 5, FEATURES), start(name)
    mask = np.arange(5)[None] < np.array([[3], [5]])
    x = jnp.where(mask[..., None], x, jnp.nan)  # whatever the padding holds

    def scan(params):
        return scan_cell(cell, params, carry, x, mask=jnp.asarray(mask, dtype), reverse=reverse)

    last, outputs = scan(params)
    for gradient in jax.tree.leaves(jax.grad(lambda p: scan(p)[1].sum())(params)):
        assert jnp.isfinite(gradient).all()
    short = jax.tree.map(lambda leaf: leaf[:1], carry)
    expected, alone = scan_cell(cell, params, short, x[:1, :3], reverse=reverse)
    close(jax.tree.map(lambda leaf: leaf[:1], last), expected)
    close(outputs[:1, :3], alone)
    np.testing.assert_array_equal(outputs[0, 3:], 0)


def test_gradients_of_parameters_are_summed_in_float32():
    """Added up step by step in bfloat16, two thousand ones are 256."""
    half = jax.tree.map(lambda leaf: jnp.zeros_like(leaf, jnp.bfloat16), parameters(1))
    x, h = jnp.zeros((1, 2000, FEATURES), jnp.bfloat16), jnp.zeros((1, HIDDEN), jnp.bfloat16)
    gradient = jax.grad(
        lambda p: scan_cell(rnn_cell, p, h, x)[1].astype(jnp.float32).sum()
    )(half)  # fmt: skip
    np.testing.assert_allclose(gradient["input"]["bias"].astype(jnp.float32), 2000, rtol=0.01)


def test_biases_are_optional():
    params = {name: {"kernel": layer["kernel"]} for name, layer in parameters(1).items()}
    carry, _ = rnn_cell(params, start("rnn"), normal(6, 2, FEATURES))
    assert carry.shape == (2, HIDDEN)
