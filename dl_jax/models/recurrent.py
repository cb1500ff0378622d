"""Recurrent networks: classifiers of texts, predictors of series, and language models."""

from functools import partial
from typing import Any, Literal, TypeAlias

import jax.numpy as jnp

from dl_jax.errors import UsageError, check_choice
from dl_jax.functional import dense, embed
from dl_jax.models.layers import linear
from dl_jax.models.model import Carry, Logits, Model, Stepper, check_sizes, layer_key, uses_dropout
from dl_jax.models.recurrence import CellName, drop_inputs, recurrence
from dl_jax.models.tokens import check_tokens, embedding_of, over_time, token_lengths
from dl_jax.types import Array, Params, PRNGKey, Scalar, State, Tree

Pooling: TypeAlias = Literal["last", "mean", "max"]
POOLINGS = ("last", "mean", "max")


def recurrent_classifier(
    cell: CellName,
    vocab_size: int,
    num_classes: int,
    *,
    embedding_dim: int = 128,
    hidden_dim: int = 128,
    num_layers: int = 1,
    bidirectional: bool = False,
    pooling: Pooling = "last",
    dropout_rate: Scalar = 0.0,
    variational: bool = False,
    truncate: int | None = None,
) -> Model:
    """A text to a class: embedded tokens, layers of recurrent cells, pooling over time, a head.

    Inputs are tokens, integers `[batch, time]`, 0 being padding behind each text; outputs are
    logits `[batch, num_classes]`, which do not depend on how much padding there is.

    Args:
        cell: name of the cell.
        vocab_size: number of different tokens, that of padding included.
        num_classes: units of the last layer.
        embedding_dim: features of a token.
        hidden_dim: units of each cell.
        num_layers: layers of cells, each of which reads the outputs of the one before.
        bidirectional: each layer has a second cell, which reads from the end.
        pooling: what the head sees of the last layer: its output after the last token (and after
            the first, where it reads from the end), or the mean or the maximum over the text.
        dropout_rate: probability of dropping an input of a layer while training, in [0, 1).
        variational: drop the same inputs at all steps of a text.
        truncate: let no gradient go back further than this many tokens, as for `scan_cell`.

    Raises:
        UsageError: a size, a name or the rate is out of range; and, when the model is applied, the
            inputs are no tokens.

    Source: the course; Hochreiter and Schmidhuber (1997), "Long short-term memory".
    """
    check_sizes(f"sizes are {vocab_size=}, {num_classes=}, {embedding_dim=}",
                (vocab_size, num_classes, embedding_dim))  # fmt: skip
    check_choice("pooling", pooling, POOLINGS)
    layers = recurrence(
        cell, embedding_dim, hidden_dim, num_layers, bidirectional=bidirectional,
        dropout_rate=dropout_rate, variational=variational, truncate=truncate,
    )  # fmt: skip
    head = linear(hidden_dim * (2 if bidirectional else 1), num_classes)

    def init(key: PRNGKey) -> tuple[Params, State]:
        return {
            "embedding": embedding_of(layer_key(key, "embedding"), vocab_size, embedding_dim),
            **layers.init(key),
            "head": head.init(layer_key(key, "head"))[0],
        }, {}

    def apply(
        params: Params, state: State, inputs: Array, *, train: bool, key: PRNGKey | None = None
    ) -> tuple[Logits, State]:
        tokens = check_tokens(f"{cell}_classifier", inputs)
        lengths = token_lengths(tokens)
        x = embed(tokens, params["embedding"]["embedding"])
        start = layers.start(len(tokens), x.dtype)
        x, carry = layers.apply(params, x, start, lengths=lengths, train=train, key=key)
        pooled = layers.last(carry) if pooling == "last" else over_time(x, lengths, pooling)
        if train and uses_dropout(dropout_rate):
            pooled = drop_inputs(
                pooled[:, None], dropout_rate, variational, key=layer_key(key, "head")
            )[:, 0]
        return dense(pooled, **params["head"]), state

    return Model(init, apply)


rnn_classifier = partial(recurrent_classifier, "rnn")
"""`recurrent_classifier` of plain cells."""
lstm_classifier = partial(recurrent_classifier, "lstm")
"""`recurrent_classifier` of LSTM cells."""
gru_classifier = partial(recurrent_classifier, "gru")
"""`recurrent_classifier` of gated recurrent units."""
reset_rnn_classifier = partial(recurrent_classifier, "reset_rnn")
"""`recurrent_classifier` of plain cells with a reset gate."""


def rnn_regressor(
    features: int,
    outputs: int,
    *,
    cell: CellName = "rnn",
    hidden_dim: int = 64,
    num_layers: int = 1,
    truncate: int | None = None,
) -> Model:
    """A series to what is predicted at each of its steps.

    Inputs are floats `[batch, time, features]`, outputs `[batch, time, outputs]`. With the
    pair `(series, carry)` as inputs, the output is the pair `(outputs, carry)`: the network goes on
    where it stopped; it begins with None.

    Args:
        features: numbers of each step.
        outputs: numbers that are predicted at each step.
        cell: name of the cell.
        hidden_dim: units of each cell.
        num_layers: layers of cells.
        truncate: let no gradient go back further than this many steps, as for `scan_cell`.

    Raises:
        UsageError: a size or a name is out of range; and, when the model is applied, the inputs are
            no such series.

    Source: the course; Elman (1990), "Finding structure in time".
    """
    check_sizes(f"sizes are {outputs=}", (outputs,))
    layers = recurrence(cell, features, hidden_dim, num_layers, truncate=truncate)
    head = linear(hidden_dim, outputs)

    def init(key: PRNGKey) -> tuple[Params, State]:
        return {**layers.init(key), "head": head.init(layer_key(key, "head"))[0]}, {}

    def apply(
        params: Params, state: State, inputs: Any, *, train: bool, key: PRNGKey | None = None
    ) -> tuple[Any, State]:
        carried = isinstance(inputs, tuple)
        x, carry = inputs if carried else (inputs, None)
        if x.ndim != 3 or x.shape[-1] != features or not jnp.issubdtype(x.dtype, jnp.floating):
            raise UsageError(
                f"rnn_regressor got inputs {x.dtype}{list(x.shape)}, expected floats (batch, time, "
                f"{features}): its features"
            )
        carry = layers.start(len(x), x.dtype) if carry is None else carry
        x, carry = layers.apply(params, x, carry, train=train, key=key)
        predicted = dense(x, **params["head"])
        return ((predicted, carry) if carried else predicted), state

    return Model(init, apply)


def rnn_lm(
    vocab_size: int,
    *,
    cell: CellName = "lstm",
    embedding_dim: int = 128,
    hidden_dim: int = 256,
    num_layers: int = 1,
    dropout_rate: Scalar = 0.0,
    variational: bool = False,
) -> Model:
    """A language model: tokens to the logits of the token that follows each.

    Inputs are integers `[batch, time]`, outputs `[batch, time, vocab_size]`. With a dict of
    `tokens`, `carry` and, where texts begin within a window, `resets`, bool `[batch, time]`, the
    output is `(logits, carry)`: the network goes on where it stopped. Its `stepper` generates.

    Args:
        vocab_size: number of different tokens, that of padding included.
        cell: name of the cell.
        embedding_dim: features of a token.
        hidden_dim: units of each cell.
        num_layers: layers of cells.
        dropout_rate: probability of dropping an input of a layer while training, in [0, 1).
        variational: drop the same inputs at all steps of a window.

    Raises:
        UsageError: a size, a name or the rate is out of range; and, when the model is applied, the
            inputs are no tokens.

    Source: Mikolov et al. (2010), "Recurrent neural network based language model"; Graves (2013),
    arXiv:1308.0850.
    """
    check_sizes(f"sizes are {vocab_size=}, {embedding_dim=}", (vocab_size, embedding_dim))
    layers = recurrence(
        cell, embedding_dim, hidden_dim, num_layers, dropout_rate=dropout_rate,
        variational=variational,
    )  # fmt: skip
    head = linear(hidden_dim, vocab_size)

    def init(key: PRNGKey) -> tuple[Params, State]:
        return {
            "embedding": embedding_of(layer_key(key, "embedding"), vocab_size, embedding_dim),
            **layers.init(key),
            "head": head.init(layer_key(key, "head"))[0],
        }, {}

    def apply(
        params: Params, state: State, inputs: Any, *, train: bool, key: PRNGKey | None = None
    ) -> tuple[Any, State]:
        carried = isinstance(inputs, dict)
        tokens = check_tokens("rnn_lm", inputs["tokens"] if carried else inputs)
        x = embed(tokens, params["embedding"]["embedding"])
        carry = inputs["carry"] if carried else layers.start(len(tokens), x.dtype)
        resets = inputs.get("resets") if carried else None
        x, carry = layers.apply(params, x, carry, resets=resets, train=train, key=key)
        if train and uses_dropout(dropout_rate):
            x = drop_inputs(x, dropout_rate, variational, key=layer_key(key, "head"))
        logits = dense(x, **params["head"])
        return ((logits, carry) if carried else logits), state

    def start(params: Params, batch_size: int, max_length: int, context: Tree = None) -> Carry:
        del max_length, context  # nothing grows with the length
        return layers.start(batch_size, params["embedding"]["embedding"].dtype)

    def step(
        params: Params, carry: Carry, tokens: Array, lengths: Array | None = None
    ) -> tuple[Carry, Logits]:
        x = embed(check_tokens("rnn_lm", tokens), params["embedding"]["embedding"])
        _, carry = layers.apply(params, x, carry, lengths=lengths, train=False)
        return carry, dense(layers.last(carry), **params["head"])

    return Model(init, apply, stepper=Stepper(start, step))
