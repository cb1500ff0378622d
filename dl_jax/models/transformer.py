"""Transformers of texts: language models."""

from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp

from dl_jax.errors import UsageError, check_choice
from dl_jax.functional import (
    causal_mask,
    dense,
    dropout,
    embed,
    lecun_normal,
    sinusoidal_positions,
)
from dl_jax.models.blocks import NORMS, DenseName, NormName, transformer_blocks
from dl_jax.models.model import Carry, Logits, Model, Stepper, check_sizes, layer_key, uses_dropout
from dl_jax.models.tokens import check_tokens, embedding_of
from dl_jax.types import Array, Params, PRNGKey, Scalar, State, Tree

PositionName: TypeAlias = Literal["learned", "sinusoidal", "rotary"]
POSITIONS = ("learned", "sinusoidal", "rotary")


def transformer_lm(
    vocab_size: int,
    max_length: int,
    *,
    width: int = 128,
    num_heads: int = 4,
    num_layers: int = 4,
    hidden_dim: int | None = None,
    positions: PositionName = "learned",
    norm: NormName = "layer",
    norm_first: bool = True,
    activation: DenseName = "gelu",
    tied: bool = True,
    dropout_rate: Scalar = 0.0,
    remat: bool = False,
) -> Model:
    """A language model: tokens to the logits of the token that follows each.

    Inputs are integers `[batch, time]`, outputs `[batch, time, vocab_size]`; no output depends on a
    token after it. Its `stepper` generates with a cache of keys and values.

    Args:
        vocab_size: number of different tokens, that of padding included.
        max_length: tokens that it reads at most, those it generates included.
        width: features of each token.
        num_heads: heads of each attention; a divisor of the width.
        num_layers: number of blocks.
        hidden_dim: units of each dense network; four times the width where None.
        positions: `learned` vectors or `sinusoidal` ones, added to the embedded tokens; or
            `rotary`: queries and keys are rotated.
        norm: `layer` or `rms`.
        norm_first: norms before what is added to the shortcuts, and one before the head; else
            after each sum.
        activation: of the dense networks; `gated` multiplies two layers, one of them by SiLU.
        tied: the head's kernel is the embedding.
        dropout_rate: probability of dropping a feature of the embedded tokens and of what a
            shortcut is added to, in training, in [0, 1).
        remat: keep each block's input alone for the way back, and compute the rest again.

    Raises:
        UsageError: a size, a name or the rate is out of range; and, when the model is applied, the
            inputs are no tokens, or are too long.

    Source: Vaswani et al. (2017), arXiv:1706.03762; Radford et al. (2019), "Language models are
    unsupervised multitask learners", for the decoder alone; Press and Wolf (2016),
    arXiv:1608.05859, for `tied`; Su et al. (2021), arXiv:2104.09864, for `rotary`.
    """
    check_sizes(f"sizes are {vocab_size=}, {max_length=}", (vocab_size, max_length))
    check_choice("positions", positions, POSITIONS)
    blocks = transformer_blocks(
        width, num_heads, num_layers, hidden_dim=hidden_dim, norm=norm, norm_first=norm_first,
        activation=activation, rotary=positions == "rotary", dropout_rate=dropout_rate, remat=remat,
    )  # fmt: skip
    normalize = NORMS[norm]

    def init(key: PRNGKey) -> tuple[Params, State]:
        params = {"embedding": embedding_of(layer_key(key, "embedding"), vocab_size, width)}
        if positions == "learned":
            params["positions"] = embedding_of(layer_key(key, "positions"), max_length, width)
        params["blocks"] = blocks.init(layer_key(key, "blocks"))
        if norm_first:
            bias = {"bias": jnp.zeros(width)} if norm == "layer" else {}
            params["norm"] = {"scale": jnp.ones(width), **bias}
        if not tied:
            kernel = lecun_normal(layer_key(key, "head"), (width, vocab_size))
            params["head"] = {"kernel": kernel, "bias": jnp.zeros(vocab_size)}
        return params, {}

    def embedded(params: Params, tokens: jax.Array, at: jax.Array) -> jax.Array:
        x = embed(tokens, params["embedding"]["embedding"])
        if positions == "learned":
            return x + embed(at, params["positions"]["embedding"])
        if positions == "sinusoidal":
            codes = sinusoidal_positions(max_length, width).astype(x.dtype)
            return x * width**0.5 + embed(at, codes)
        return x

    def logits_of(params: Params, x: jax.Array) -> jax.Array:
        x = normalize(x, **params["norm"]) if norm_first else x
        return dense(x, params["embedding"]["embedding"].T) if tied else dense(x, **params["head"])

    def apply(
        params: Params, state: State, inputs: Array, *, train: bool, key: PRNGKey | None = None
    ) -> tuple[Logits, State]:
        tokens = check_tokens("transformer_lm", inputs)
        _check_length(tokens.shape[1], max_length)
        x = embedded(params, tokens, jnp.arange(tokens.shape[1])[None])
        if train and uses_dropout(dropout_rate):
            x = dropout(x, dropout_rate, key=layer_key(key, "embedding"))
        mask = causal_mask(tokens.shape[1])
        key = None if key is None else layer_key(key, "blocks")
        return logits_of(
            params, blocks.apply(params["blocks"], x, mask=mask, train=train, key=key)
        ), state

    def start(params: Params, batch_size: int, length: int, context: Tree = None) -> Carry:
        del context
        _check_length(length, max_length)
        dtype = params["embedding"]["embedding"].dtype
        return {
            "length": jnp.zeros(batch_size, jnp.int32),
            "caches": blocks.start(batch_size, length, dtype),
        }

    def step(
        params: Params, carry: Carry, tokens: Array, lengths: Array | None = None
    ) -> tuple[Carry, Logits]:
        tokens = check_tokens("transformer_lm", tokens)
        batch, time = tokens.shape
        steps = carry["length"][:, None] + jnp.arange(time)[None]
        x = embedded(params, tokens, steps)
        x, caches = blocks.step(params["blocks"], x, steps, carry["caches"])
        counted = jnp.full(batch, time) if lengths is None else jnp.asarray(lengths)
        last = jnp.take_along_axis(x, (counted - 1)[:, None, None], axis=1)[:, 0]
        after = {"length": carry["length"] + counted.astype(jnp.int32), "caches": caches}
        return after, logits_of(params, last)

    return Model(init, apply, stepper=Stepper(start, step))


def _check_length(length: int, max_length: int) -> None:
    if length > max_length:
        raise UsageError(
            f"transformer_lm got {length} tokens, expected at most {max_length}: its max_length"
        )
