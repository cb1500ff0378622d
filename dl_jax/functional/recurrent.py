"""Recurrent cells, and the scan that applies one to a sequence.

A cell is `cell(params, carry, inputs) -> (carry, output)`, one step for a batch. Its parameters are
two dense layers, `input` and `hidden`, whose outputs are the gates' pre-activations, concatenated;
the bias of either is optional. With H hidden units:

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
from jaxtyping import Float, Shaped

from dl_jax.functional.activations import sigmoid, tanh
from dl_jax.functional.dense import dense
from dl_jax.functional.precision import at_least_float32
from dl_jax.types import Array, Params

Hidden: TypeAlias = Float[Array, "batch hidden"]
NewHidden: TypeAlias = Float[jax.Array, "batch hidden"]
Cell: TypeAlias = Callable[[Params, Any, Float[jax.Array, "batch features"]], tuple[Any, NewHidden]]


def rnn_cell(
    params: Params,
    carry: Hidden,
    inputs: Float[Array, "batch features"],
) -> tuple[NewHidden, NewHidden]:
    """`h' = tanh(W x + U h + b)`; the output is the new hidden state.

    Source: Elman (1990), "Finding structure in time".
    """
    carry = jnp.asarray(carry)
    from_input, from_hidden = _preactivations(params, carry, inputs)
    carry = tanh(from_input + from_hidden).astype(carry.dtype)
    return carry, carry


def reset_rnn_cell(
    params: Params,
    carry: Hidden,
    inputs: Float[Array, "batch features"],
) -> tuple[NewHidden, NewHidden]:
    """A plain cell with a reset gate `r` on the recurrent input.

        r  = sigmoid(W_r x + U_r h + b_r)
        h' = tanh(W_n x + b_n + r * (U_n h + c_n))

    It is `gru_cell` without the update gate.

    Source: Cho et al. (2014), arXiv:1406.1078, equations 5 and 8, for the gate.
    """
    carry = jnp.asarray(carry)
    from_input, from_hidden = (jnp.split(a, 2, -1) for a in _preactivations(params, carry, inputs))
    reset = sigmoid(from_input[0] + from_hidden[0])
    carry = tanh(from_input[1] + reset * from_hidden[1]).astype(carry.dtype)
    return carry, carry


def gru_cell(
    params: Params,
    carry: Hidden,
    inputs: Float[Array, "batch features"],
) -> tuple[NewHidden, NewHidden]:
    """Gated recurrent unit: keeps a share `z` of the old state and replaces the rest.

        r  = sigmoid(W_r x + U_r h + b_r)
        z  = sigmoid(W_z x + U_z h + b_z)
        n  = tanh(W_n x + b_n + r * (U_n h + c_n))
        h' = z * h + (1 - z) * n

    Source: Cho et al. (2014), arXiv:1406.1078, equations 5 to 8, with the reset gate after the
    product, as in cuDNN, PyTorch and Flax.
    """
    carry = jnp.asarray(carry)
    from_input, from_hidden = (jnp.split(a, 3, -1) for a in _preactivations(params, carry, inputs))
    reset, update = (sigmoid(a + b) for a, b in zip(from_input[:2], from_hidden[:2], strict=True))
    new = tanh(from_input[2] + reset * from_hidden[2])
    carry = (update * carry + (1 - update) * new).astype(carry.dtype)
    return carry, carry


def lstm_cell(
    params: Params,
    carry: tuple[Hidden, Hidden],
    inputs: Float[Array, "batch features"],
) -> tuple[tuple[NewHidden, NewHidden], NewHidden]:
    """Long short-term memory: an additive cell state, so that gradients pass through time.

        i, f, o = sigmoid(W x + U h + b), one block each
        g  = tanh(W_g x + U_g h + b_g)
        c' = f * c + i * g
        h' = o * tanh(c')

    The carry is `(c, h)`, the output `h'`; the blocks are in the order i, f, g, o.

    Source: Hochreiter and Schmidhuber (1997), "Long short-term memory", with the forget gate of
    Gers et al. (2000).
    """
    cell, hidden = map(jnp.asarray, carry)
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
) -> tuple[Any, Float[jax.Array, "batch time hidden"]]:
    """Apply a cell along the time axis.

    Args:
        cell: `cell(params, carry, inputs) -> (carry, output)`.
        params: the same at every step.
        carry: initial carry.
        inputs: sequences of one length; shorter ones are padded.
        mask: 1 at valid steps, 0 at padding; of any type. At padding the carry does not change and
            the output is 0 for any inputs, so the final carry is the one after the last valid step
            of each sequence.
        reverse: from the last step to the first; outputs stay in the order of the inputs.
        unroll: steps per iteration of the compiled loop; affects only speed.

    Returns:
        The final carry, and the outputs of all steps.

    Source: Werbos (1990), "Backpropagation through time: what it does and how to do it".
    """
    # The gradient of a parameter is a sum over the steps: parameters enter the loop in float32.
    params, carry = jax.tree.map(jnp.asarray, (params, carry))
    wide = jax.tree.map(at_least_float32, params)
    steps = jnp.moveaxis(inputs, 1, 0)  # [T, B, F]
    valid = None if mask is None else jnp.moveaxis(mask != 0, 1, 0)[..., None]  # [T, B, 1]

    def step(carry: Any, at: tuple[jax.Array, jax.Array | None]) -> tuple[Any, jax.Array]:
        x, valid = at
        own = jax.tree.map(lambda w, p: w.astype(p.dtype), wide, params)
        if valid is None:
            return cell(own, carry, x)
        x = jnp.where(valid, x, 0)  # before the cell: in the gradient, 0 * nan is nan
        new, output = cell(own, carry, x)
        new = jax.tree.map(lambda a, b: jnp.where(valid, a, b), new, carry)
        return new, jnp.where(valid, output, 0)

    carry, outputs = lax.scan(step, carry, (steps, valid), reverse=reverse, unroll=unroll)
    return carry, jnp.moveaxis(outputs, 0, 1)


def _preactivations(params: Params, hidden: Hidden, inputs: Array) -> tuple[jax.Array, jax.Array]:
    """Input and recurrent pre-activations of all gates, in float32 or wider."""
    return (
        at_least_float32(dense(inputs, **params["input"])),
        at_least_float32(dense(hidden, **params["hidden"])),
    )
