"""Recurrent cells, and the scan that runs one along a sequence.

A cell is `cell(params, carry, inputs) -> (carry, output)`, one step for a batch. Its parameters are
two dense layers, `input` and `hidden`, whose outputs hold the cell's gates side by side; a bias
may be left out of either. With H hidden units:

    rnn_cell          1 part     [H]
    reset_rnn_cell    2 parts    reset, new            [2 H]
    gru_cell          3 parts    reset, update, new    [3 H]
    lstm_cell         4 parts    input, forget, candidate, output    [4 H]
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Shaped

from dl_jax.functional.activations import sigmoid, tanh
from dl_jax.functional.dense import dense
from dl_jax.types import Params

Hidden: TypeAlias = Float[Array, "batch hidden"]
Cell: TypeAlias = Callable[[Params, Any, Float[Array, "batch features"]], tuple[Any, Hidden]]


def rnn_cell(
    params: Params,
    carry: Hidden,
    inputs: Float[Array, "batch features"],
) -> tuple[Hidden, Hidden]:
    """`h' = tanh(W x + U h + b)`; the output is the new hidden state.

    Source: Elman (1990), "Finding structure in time".
    """
    from_input, from_hidden = _preactivations(params, carry, inputs)
    carry = tanh(from_input + from_hidden).astype(carry.dtype)
    return carry, carry


def reset_rnn_cell(
    params: Params,
    carry: Hidden,
    inputs: Float[Array, "batch features"],
) -> tuple[Hidden, Hidden]:
    """A plain cell with a reset gate: the past passes as far as `r` lets it.

        r  = sigmoid(W_r x + U_r h + b_r)
        h' = tanh(W_n x + b_n + r * (U_n h + c_n))

    It is `gru_cell` without the update gate.

    Source: Cho et al. (2014), arXiv:1406.1078, equations 5 and 8, for the gate.
    """
    from_input, from_hidden = (jnp.split(a, 2, -1) for a in _preactivations(params, carry, inputs))
    reset = sigmoid(from_input[0] + from_hidden[0])
    carry = tanh(from_input[1] + reset * from_hidden[1]).astype(carry.dtype)
    return carry, carry


def gru_cell(
    params: Params,
    carry: Hidden,
    inputs: Float[Array, "batch features"],
) -> tuple[Hidden, Hidden]:
    """Gated recurrent unit: keeps a share `z` of the past and fills the rest anew.

        r  = sigmoid(W_r x + U_r h + b_r)
        z  = sigmoid(W_z x + U_z h + b_z)
        n  = tanh(W_n x + b_n + r * (U_n h + c_n))
        h' = z * h + (1 - z) * n

    Source: Cho et al. (2014), arXiv:1406.1078, equations 5 to 8, with the reset gate behind the
    product as in cuDNN, PyTorch and Flax.
    """
    from_input, from_hidden = (jnp.split(a, 3, -1) for a in _preactivations(params, carry, inputs))
    reset, update = (sigmoid(a + b) for a, b in zip(from_input[:2], from_hidden[:2], strict=True))
    new = tanh(from_input[2] + reset * from_hidden[2])
    carry = (update * carry + (1 - update) * new).astype(carry.dtype)
    return carry, carry


def lstm_cell(
    params: Params,
    carry: tuple[Hidden, Hidden],
    inputs: Float[Array, "batch features"],
) -> tuple[tuple[Hidden, Hidden], Hidden]:
    """Long short-term memory: a cell state that is added to, so that gradients pass through time.

        i, f, o = sigmoid(W x + U h + b), one part each
        g  = tanh(W_g x + U_g h + b_g)
        c' = f * c + i * g
        h' = o * tanh(c')

    The carry is `(c, h)`, the output `h'`; the parts lie in the order i, f, g, o.

    Source: Hochreiter and Schmidhuber (1997), "Long short-term memory", with the forget gate of
    Gers et al. (2000).
    """
    cell, hidden = carry
    from_input, from_hidden = _preactivations(params, hidden, inputs)
    i, f, g, o = jnp.split(from_input + from_hidden, 4, axis=-1)
    new = sigmoid(f) * cell + sigmoid(i) * tanh(g)
    hidden = (sigmoid(o) * tanh(new)).astype(hidden.dtype)
    return (new.astype(cell.dtype), hidden), hidden


def scan_cell(
    cell: Cell,
    params: Params,
    carry: Any,
    inputs: Float[Array, "batch time features"],
    *,
    mask: Shaped[Array, "batch time"] | None = None,
    reverse: bool = False,
    unroll: int = 1,
) -> tuple[Any, Float[Array, "batch time hidden"]]:
    """Run a cell along the time axis.

    Args:
        cell: `cell(params, carry, inputs) -> (carry, output)`.
        params: the same at every step.
        carry: before the first step.
        inputs: sequences of one length; shorter ones are padded.
        mask: 1 where a step counts. Elsewhere the carry stays as it was and the output is 0,
            whatever the inputs hold there, so that the last carry is that of each sequence's own
            last step.
        reverse: from the last step to the first; outputs stay in the order of the inputs.
        unroll: steps per iteration of the compiled loop; changes speed alone.

    Returns:
        The last carry, and the outputs of all steps.

    Source: Werbos (1990), "Backpropagation through time: what it does and how to do it".
    """
    # Over the steps, gradients of parameters add up: outside the loop they are held in float32.
    wide = jax.tree.map(lambda p: p.astype(jnp.promote_types(p.dtype, jnp.float32)), params)
    steps = jnp.moveaxis(inputs, 1, 0)  # [T, B, F]
    counts = None if mask is None else jnp.moveaxis(mask != 0, 1, 0)[..., None]  # [T, B, 1]

    def step(carry: Any, at: tuple[Array, Array | None]) -> tuple[Any, Array]:
        x, counting = at
        own = jax.tree.map(lambda w, p: w.astype(p.dtype), wide, params)
        if counting is None:
            return cell(own, carry, x)
        x = jnp.where(counting, x, 0)  # before the cell: in the gradient, 0 * nan is nan
        new, output = cell(own, carry, x)
        new = _select(counting, new, carry)
        return new, jnp.where(counting, output, 0)

    carry, outputs = lax.scan(step, carry, (steps, counts), reverse=reverse, unroll=unroll)
    return carry, jnp.moveaxis(outputs, 0, 1)


def _preactivations(params: Params, hidden: Hidden, inputs: Array) -> tuple[Array, Array]:
    """What inputs and past give to the gates; these and all behind them are float32 at least."""

    def wide(y: Array) -> Array:
        return y.astype(jnp.promote_types(y.dtype, jnp.float32))

    return wide(dense(inputs, **params["input"])), wide(dense(hidden, **params["hidden"]))


def _select(counting: Array, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(counting, a, b), new, old)
