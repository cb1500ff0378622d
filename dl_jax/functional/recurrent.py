"""Recurrent cells: one step of a recurrent network, for a batch.

A cell is `cell(params, carry, inputs) -> (carry, output)`. Its parameters are two dense layers,
`input` and `hidden`, whose outputs are the gates' pre-activations, concatenated; the bias of either
is optional. With H hidden units:

    rnn_cell          1 part     [H]
    reset_rnn_cell    2 parts    reset, new            [2 H]
    gru_cell          3 parts    reset, update, new    [3 H]
    lstm_cell         4 parts    input, forget, candidate, output    [4 H]

What becomes of the pre-activations is elementwise, and is all that tells one cell from another. A
cell of one's own is written as just that, as a `GatedCell`, and is then as fast in `scan_cell` as
these; any other function of the form above is a cell too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Float

from dl_jax.functional.activations import sigmoid, tanh
from dl_jax.functional.dense import dense
from dl_jax.functional.precision import at_least_float32
from dl_jax.types import Array, Params, Tree

Part: TypeAlias = Float[jax.Array, "..."]
"""An array of the shape of the hidden state."""
Parts: TypeAlias = tuple[Part, ...]
Cell: TypeAlias = Callable[
    [Params, Any, Float[jax.Array, "batch features"]],
    tuple[Any, Float[jax.Array, "batch hidden"]],
]


@dataclass(eq=False)
class GatedCell:
    """A cell made of an elementwise update: what becomes of the outputs of two dense layers.

        a, b   = W x + b_input, U h + b_hidden        each in `gates` parts of the shape of h
        carry' = update(carry, *(a + b))              where `summed`
        carry' = update(carry, a, b)                  otherwise

    update: receives the carry and the parts, in float32 or wider, and returns the new carry, which
        is given the type of the old. It is elementwise: nothing is known of the axes.
    gates: number of parts.
    summed: whether the update sees the sums alone; one product makes them then.
    hidden: what in the carry is `h`, which is the output too.
    """

    update: Callable[..., Any]
    gates: int = 1
    summed: bool = True
    hidden: Callable[[Any], Any] = lambda carry: carry

    def __post_init__(self) -> None:
        self.__doc__ = self.update.__doc__

    def __call__(
        self, params: Params, carry: Any, inputs: Float[Array, "batch features"]
    ) -> tuple[Any, Float[jax.Array, "batch hidden"]]:
        """One step: the new carry, and the output `[batch, hidden]`."""
        carry = jax.tree.map(jnp.asarray, carry)
        from_input = at_least_float32(dense(inputs, **params["input"]))
        from_hidden = at_least_float32(dense(self.hidden(carry), **params["hidden"]))
        sums = (from_input + from_hidden,) if self.summed else (from_input, from_hidden)
        carry = self.advance(carry, *self.split(-1, *sums))
        return carry, self.hidden(carry)

    def split(self, axis: int, *preactivations: jax.Array) -> list[Parts]:
        """The parts of the layers' outputs, or of their sum, which lie along `axis`."""
        return [tuple(jnp.split(each, self.gates, axis)) for each in preactivations]

    def advance(self, carry: Tree, *parts: Parts) -> Tree:
        """The carry after the update, in its own type."""
        new = self.update(carry, *(parts[0] if self.summed else parts))
        return jax.tree.map(lambda n, old: n.astype(old.dtype), new, carry)


@GatedCell
def rnn_cell(h: Part, a: Part) -> Part:
    """The plain cell, `h' = tanh(W x + U h + b)`; the carry is `h`.

    Source: Elman (1990), "Finding structure in time".
    """
    del h  # it is in `a` alone
    return tanh(a)


@partial(GatedCell, gates=2, summed=False)
def reset_rnn_cell(h: Part, from_input: Parts, from_hidden: Parts) -> Part:
    """The plain cell with a reset gate `r` on the recurrent input; the carry is `h`.

        r  = sigmoid(W_r x + U_r h + b_r)
        h' = tanh(W_n x + b_n + r * (U_n h + c_n))

    It is `gru_cell` without the update gate.

    Source: Cho et al. (2014), arXiv:1406.1078, equations 5 and 8, for the gate.
    """
    del h
    (r, n), (r_h, n_h) = from_input, from_hidden
    return tanh(n + sigmoid(r + r_h) * n_h)


@partial(GatedCell, gates=3, summed=False)
def gru_cell(h: Part, from_input: Parts, from_hidden: Parts) -> Part:
    """Gated recurrent unit: keeps a share `z` of the state, replaces the rest; the carry is `h`.

        r  = sigmoid(W_r x + U_r h + b_r)
        z  = sigmoid(W_z x + U_z h + b_z)
        n  = tanh(W_n x + b_n + r * (U_n h + c_n))
        h' = z * h + (1 - z) * n

    Source: Cho et al. (2014), arXiv:1406.1078, equations 5 to 8, with the reset gate after the
    product, as in cuDNN, PyTorch and Flax.
    """
    (r, z, n), (r_h, z_h, n_h) = from_input, from_hidden
    z, n = sigmoid(z + z_h), tanh(n + sigmoid(r + r_h) * n_h)
    return z * h + (1 - z) * n


@partial(GatedCell, gates=4, hidden=lambda carry: carry[1])
def lstm_cell(carry: tuple[Part, Part], i: Part, f: Part, g: Part, o: Part) -> tuple[Part, Part]:
    """Long short-term memory: an additive cell state, so that gradients pass through time.

        i, f, o = sigmoid(W x + U h + b), one block each
        g  = tanh(W_g x + U_g h + b_g)
        c' = f * c + i * g
        h' = o * tanh(c')

    The carry is `(c, h)`, the output `h'`; the blocks are in the order i, f, g, o.

    Source: Hochreiter and Schmidhuber (1997), "Long short-term memory", with the forget gate of
    Gers et al. (2000).
    """
    cell = sigmoid(f) * carry[0] + sigmoid(i) * tanh(g)
    return cell, sigmoid(o) * tanh(cell)
