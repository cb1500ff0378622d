"""Recurrent cells: one step of a recurrent network, for a batch.

A cell is `cell(params, carry, inputs) -> (carry, output)`. Its parameters are two dense layers,
`input` and `hidden`, whose outputs are the gates' pre-activations, concatenated; the bias of either
is optional. With H hidden units:

    rnn_cell          1 part     [H]
    reset_rnn_cell    2 parts    reset, new            [2 H]
    gru_cell          3 parts    reset, update, new    [3 H]
    lstm_cell         4 parts    input, forget, candidate, output    [4 H]

What becomes of the pre-activations is elementwise, and is all that tells one cell from another. A
cell of one's own is written as just that, under `@GatedCell`, and is then as fast in `scan_cell` as
these; any other function of the form above is a cell too.
"""

import functools
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

Hidden: TypeAlias = Float[jax.Array, "*batch hidden"]
Gates: TypeAlias = Float[jax.Array, "*batch gates"]
Cell: TypeAlias = Callable[[Params, Any, Float[jax.Array, "batch features"]], tuple[Any, Hidden]]


@dataclass(eq=False)
class GatedCell:
    """A cell made of an elementwise update: what becomes of the outputs of two dense layers.

        a, b   = W x + b_input, U h + b_hidden
        carry' = update(carry, a + b)        where `summed`
        carry' = update(carry, a, b)         otherwise

    update: receives the carry and pre-activations `[batch, parts * hidden]` in float32 or wider,
        and returns the new carry, which is given the type of the old.
    summed: whether the update sees the sum alone; one product makes it then.
    hidden: what in the carry is `h`, which is the output too.
    """

    update: Callable[..., Any]
    summed: bool = True
    hidden: Callable[[Any], Any] = lambda carry: carry

    def __post_init__(self) -> None:
        self.__doc__ = self.update.__doc__

    def __call__(
        self, params: Params, carry: Any, inputs: Float[Array, "batch features"]
    ) -> tuple[Any, Float[jax.Array, "batch hidden"]]:
        """One step: the new carry, and the output `[batch, hidden]`."""
        carry = jax.tree.map(jnp.asarray, carry)
        carry = self.advance(carry, *self.layers(params)(inputs, self.hidden(carry)))
        return carry, self.hidden(carry)

    def layers(self, params: Params) -> Callable[[Array, Array], tuple[jax.Array, ...]]:
        """The dense layers as one function of `x` and `h`: what `update` gets beside the carry."""
        own, recurrent = params["input"], params["hidden"]
        if not self.summed:
            return lambda x, h: (
                at_least_float32(dense(x, **own)),
                at_least_float32(dense(h, **recurrent)),
            )
        kernel = jnp.concatenate([own["kernel"], recurrent["kernel"]])
        biases = [layer["bias"] for layer in (own, recurrent) if "bias" in layer]
        bias = functools.reduce(jnp.add, biases) if biases else None

        def both(x: Array, h: Array) -> tuple[jax.Array]:
            return (at_least_float32(dense(jnp.concatenate([x, h], axis=-1), kernel, bias)),)

        return both

    def advance(self, carry: Tree, *preactivations: jax.Array) -> Tree:
        """The carry after the update, in its own type."""
        new = self.update(carry, *preactivations)
        return jax.tree.map(lambda n, old: n.astype(old.dtype), new, carry)


@GatedCell
def rnn_cell(h: Hidden, a: Gates) -> Hidden:
    """The plain cell, `h' = tanh(W x + U h + b)`; the carry is `h`.

    Source: Elman (1990), "Finding structure in time".
    """
    del h  # it is in `a` alone
    return tanh(a)


@partial(GatedCell, summed=False)
def reset_rnn_cell(h: Hidden, a: Gates, b: Gates) -> Hidden:
    """The plain cell with a reset gate `r` on the recurrent input; the carry is `h`.

        r  = sigmoid(W_r x + U_r h + b_r)
        h' = tanh(W_n x + b_n + r * (U_n h + c_n))

    It is `gru_cell` without the update gate.

    Source: Cho et al. (2014), arXiv:1406.1078, equations 5 and 8, for the gate.
    """
    del h
    (r, n), (r_h, n_h) = jnp.split(a, 2, -1), jnp.split(b, 2, -1)
    return tanh(n + sigmoid(r + r_h) * n_h)


@partial(GatedCell, summed=False)
def gru_cell(h: Hidden, a: Gates, b: Gates) -> Hidden:
    """Gated recurrent unit: keeps a share `z` of the state, replaces the rest; the carry is `h`.

        r  = sigmoid(W_r x + U_r h + b_r)
        z  = sigmoid(W_z x + U_z h + b_z)
        n  = tanh(W_n x + b_n + r * (U_n h + c_n))
        h' = z * h + (1 - z) * n

    Source: Cho et al. (2014), arXiv:1406.1078, equations 5 to 8, with the reset gate after the
    product, as in cuDNN, PyTorch and Flax.
    """
    (r, z, n), (r_h, z_h, n_h) = jnp.split(a, 3, -1), jnp.split(b, 3, -1)
    z, n = sigmoid(z + z_h), tanh(n + sigmoid(r + r_h) * n_h)
    return z * h + (1 - z) * n


@partial(GatedCell, hidden=lambda carry: carry[1])
def lstm_cell(carry: tuple[Hidden, Hidden], a: Gates) -> tuple[Hidden, Hidden]:
    """Long short-term memory: an additive cell state, so that gradients pass through time.

        i, f, o = sigmoid(W x + U h + b), one block each
        g  = tanh(W_g x + U_g h + b_g)
        c' = f * c + i * g
        h' = o * tanh(c')

    The carry is `(c, h)`, the output `h'`; the blocks are in the order i, f, g, o.

    Source: Hochreiter and Schmidhuber (1997), "Long short-term memory", with the forget gate of
    Gers et al. (2000).
    """
    i, f, g, o = jnp.split(a, 4, -1)
    cell = sigmoid(f) * carry[0] + sigmoid(i) * tanh(g)
    return cell, sigmoid(o) * tanh(cell)
