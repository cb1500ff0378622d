"""Layers of recurrent cells, one on the other, in one direction or both."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from dl_jax.errors import check_choice, check_integer
from dl_jax.functional import (
    GatedCell,
    dropout,
    gru_cell,
    lecun_normal,
    lstm_cell,
    orthogonal,
    reset_rnn_cell,
    rnn_cell,
    scan_cell,
)
from dl_jax.models.model import check_sizes, layer_key, uses_dropout
from dl_jax.types import Array, Params, PRNGKey, Scalar, Tree

CellName: TypeAlias = Literal["rnn", "reset_rnn", "gru", "lstm"]


class Kind(NamedTuple):
    """A cell, and the number of arrays `[batch, hidden]` in its carry."""

    cell: GatedCell
    carries: int = 1


CELLS = {
    "rnn": Kind(rnn_cell),
    "reset_rnn": Kind(reset_rnn_cell),
    "gru": Kind(gru_cell),
    "lstm": Kind(lstm_cell, 2),
}


class Recurrence(NamedTuple):
    """Layers of a cell.

    init: `init(key) -> params`, as `params["layer1"]["forward"]["hidden"]["kernel"]`.
    start: `start(batch_size, dtype) -> carry` of zeros, as `carry["layer1"]["forward"]`.
    apply: `apply(params, x, carry, *, lengths=None, resets=None, train, key=None) -> (outputs,
        carry)`: from `[batch, time, features]` to the outputs of the last layer at all steps,
        `[batch, time, directions * hidden_dim]`. `lengths` and `resets` are as for `scan_cell`.
    last: `last(carry) -> [batch, directions * hidden_dim]`, what the last layer's cells have as
        output after their last step.
    """

    init: Callable[[PRNGKey], Params]
    start: Callable[..., Tree]
    apply: Callable[..., tuple[jax.Array, Tree]]
    last: Callable[[Tree], jax.Array]


def recurrence(
    cell: CellName,
    features: int,
    hidden_dim: int,
    num_layers: int = 1,
    *,
    bidirectional: bool = False,
    dropout_rate: Scalar = 0.0,
    variational: bool = False,
    truncate: int | None = None,
) -> Recurrence:
    """Layers of recurrent cells, each of which reads the outputs of the one before.

    Args:
        cell: name of the cell.
        features: of the input.
        hidden_dim: units of each cell.
        num_layers: how many layers there are.
        bidirectional: each layer has a second cell, which reads from the end.
        dropout_rate: probability of dropping an input of a layer while training, in [0, 1).
        variational: drop the same inputs at all steps of a sequence.
        truncate: as for `scan_cell`.

    Raises:
        UsageError: there is no such cell, or a size or the rate is out of range.

    Source: Graves, Mohamed and Hinton (2013), arXiv:1303.5778, for layers and directions; Zaremba
    et al. (2014), arXiv:1409.2329, for dropout between them, and Gal and Ghahramani (2015),
    arXiv:1512.05287, for masks that stay.
    """
    kind = CELLS[check_choice("cell", cell, CELLS)]
    check_sizes(f"sizes are {features=}, {hidden_dim=}, {num_layers=}",
                (features, hidden_dim, num_layers))  # fmt: skip
    if truncate is not None:
        check_integer("truncate", truncate, low=1)
    drops = uses_dropout(dropout_rate)
    directions = ("forward", "backward") if bidirectional else ("forward",)
    layers = [f"layer{n}" for n in range(1, num_layers + 1)]
    inputs = dict.fromkeys(layers, len(directions) * hidden_dim) | {"layer1": features}

    def init(key: PRNGKey) -> Params:
        def cells(layer: str) -> Params:
            own = layer_key(key, layer)
            return {d: init_cell(layer_key(own, d), cell, inputs[layer], hidden_dim)
                    for d in directions}  # fmt: skip

        return {layer: cells(layer) for layer in layers}

    def start(batch_size: int, dtype: Any = jnp.float32) -> Tree:
        zeros = jnp.zeros((batch_size, hidden_dim), dtype)
        carry = zeros if kind.carries == 1 else (zeros,) * kind.carries
        return {layer: dict.fromkeys(directions, carry) for layer in layers}

    def apply(
        params: Params,
        x: jax.Array,
        carry: Tree,
        *,
        lengths: Array | None = None,
        resets: Array | None = None,
        train: bool,
        key: PRNGKey | None = None,
    ) -> tuple[jax.Array, Tree]:
        after = {}
        for layer in layers:
            if train and drops:
                x = drop_inputs(x, dropout_rate, variational, key=layer_key(key, layer))
            outputs, after[layer] = [], {}
            for direction in directions:
                after[layer][direction], output = scan_cell(
                    kind.cell,
                    params[layer][direction],
                    carry[layer][direction],
                    x,
                    lengths=lengths,
                    resets=resets,
                    reverse=direction == "backward",
                    truncate=truncate,
                )
                outputs.append(output)
            x = jnp.concatenate(outputs, axis=-1) if bidirectional else outputs[0]
        return x, after

    def last(carry: Tree) -> jax.Array:
        hidden = [kind.cell.hidden(carry[layers[-1]][direction]) for direction in directions]
        return jnp.concatenate(hidden, axis=-1)

    return Recurrence(init, start, apply, last)


def init_cell(key: PRNGKey, cell: CellName, features: int, hidden_dim: int) -> Params:
    """Initial parameters of a cell.

    The recurrent kernel of each gate is orthogonal, so that a gradient neither grows nor vanishes
    by it; the bias of an LSTM's forget gate is 1, so that it remembers at first. Where the cell
    adds up what it gets from the input and from the hidden state, there is one bias.

    Source: Saxe et al. (2013), arXiv:1312.6120; Jozefowicz et al. (2015), "An empirical exploration
    of recurrent network architectures", for the forget gate.
    """
    kind = CELLS[cell]
    gates = kind.cell.gates
    input_key, *keys = jax.random.split(key, 1 + gates)
    bias = jnp.zeros((gates, hidden_dim))
    if cell == "lstm":
        bias = bias.at[1].set(1)
    square = (hidden_dim, hidden_dim)
    hidden = {"kernel": jnp.concatenate([orthogonal(k, square) for k in keys], axis=-1)}
    if not kind.cell.summed:
        hidden["bias"] = jnp.zeros(gates * hidden_dim)
    return {
        "input": {
            "kernel": lecun_normal(input_key, (features, gates * hidden_dim)),
            "bias": bias.ravel(),
        },
        "hidden": hidden,
    }


def drop_inputs(x: jax.Array, rate: Scalar, variational: bool, *, key: PRNGKey) -> jax.Array:
    """Dropout of `[batch, time, features]`; `variational` is that of the same features always."""
    if not variational:
        return dropout(x, rate, key=key)
    kept = dropout(jnp.ones((x.shape[0], 1, x.shape[2]), x.dtype), rate, key=key)
    return x * kept
