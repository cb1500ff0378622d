"""The transformer that reads in both directions: tokens, texts or segments to outputs."""

from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp

from dl_jax.errors import UsageError, check_choice
from dl_jax.functional import padding_mask
from dl_jax.models.model import Logits, Model, layer_key
from dl_jax.models.tokens import check_tokens, over_time, token_lengths
from dl_jax.models.transformers.blocks import DenseName, NormName, transformer_blocks
from dl_jax.models.transformers.ends import PositionName, embedded_tokens, head_of
from dl_jax.types import Params, PRNGKey, Scalar, State

Per: TypeAlias = Literal["token", "text", "segment"]
PER = ("token", "text", "segment")


def transformer_encoder(
    vocab_size: int,
    max_length: int,
    outputs: int | None = None,
    *,
    per: Per = "token",
    segments: int = 0,
    width: int = 128,
    num_heads: int = 4,
    num_layers: int = 4,
    hidden_dim: int | None = None,
    positions: PositionName = "learned",
    norm: NormName = "layer",
    norm_first: bool = True,
    activation: DenseName = "gelu",
    dropout_rate: Scalar = 0.0,
    remat: bool = False,
) -> Model:
    """An encoder: each token sees all others, and padding is seen by none.

    Inputs are integers `[batch, time]`, 0 being padding behind each text. Outputs are those of each
    token, `[batch, time, outputs]`, as a masked language model needs them; or of each text,
    `[batch, outputs]`, from the mean over its tokens: a classifier; or of each segment, such as a
    sentence, `[batch, segments, outputs]`, from the mean over the tokens of it. Then the inputs are
    a dict of `tokens` and `segments`, integers `[batch, time]`: the number of each token's segment,
    from 0.

    Args:
        vocab_size: number of different tokens, that of padding included.
        max_length: tokens of a text, at most.
        outputs: numbers for each; None gives logits of the tokens, by the embedding itself.
        per: what they are of: `token`, `text` or `segment`.
        segments: of a text, at most.
        width: features of each token.
        num_heads: heads of each attention; a divisor of the width.
        num_layers: number of blocks.
        hidden_dim: units of the dense networks; four times the width where None.
        positions: `learned`, `sinusoidal` or `rotary`.
        norm: `layer` or `rms`.
        norm_first: norms before what is added to the shortcuts, and one before the head; else
            after each sum.
        activation: of the dense networks; `gated` multiplies two layers, one of them by SiLU.
        dropout_rate: probability of dropping a feature of the embedded tokens and of what a
            shortcut is added to, in training, in [0, 1).
        remat: keep each block's input alone for the way back, and compute the rest again.

    Raises:
        UsageError: a size, a name or the rate is out of range; and, when the model is applied, the
            inputs are no tokens, or are too long.

    Source: Devlin et al. (2018), arXiv:1810.04805; Vaswani et al. (2017), arXiv:1706.03762.
    """
    name = "transformer_encoder"
    check_choice("per", per, PER)
    if (per == "segment") != (segments > 0):
        raise UsageError(
            f"per is {per!r} and segments is {segments}, expected a number of segments where each "
            "has outputs, and 0 elsewhere"
        )
    embedded = embedded_tokens(name, vocab_size, max_length, width, positions, dropout_rate)
    blocks = transformer_blocks(
        width, num_heads, num_layers, hidden_dim=hidden_dim, norm=norm, norm_first=norm_first,
        activation=activation, rotary=positions == "rotary", dropout_rate=dropout_rate, remat=remat,
    )  # fmt: skip
    head = head_of(width, vocab_size if outputs is None else outputs, norm, norm_first,
                   tied=outputs is None)  # fmt: skip

    def init(key: PRNGKey) -> tuple[Params, State]:
        inside = {"blocks": blocks.init(layer_key(key, "blocks"))}
        return {**embedded.init(key), **inside, **head.init(key)}, {}

    def apply(
        params: Params, state: State, inputs: Any, *, train: bool, key: PRNGKey | None = None
    ) -> tuple[Logits, State]:
        tokens = check_tokens(name, inputs["tokens"] if per == "segment" else inputs)
        lengths = token_lengths(tokens)
        x = embedded.apply(params, tokens, train=train, key=key)
        key = None if key is None else layer_key(key, "blocks")
        mask = padding_mask(lengths, tokens.shape[1])
        x = blocks.apply(params["blocks"], x, mask=mask, train=train, key=key)
        x = head.normalize(params, x)
        if per == "text":
            x = over_time(x, lengths, "mean")
        elif per == "segment":
            x = over_segments(x, jnp.asarray(inputs["segments"]), tokens != 0, segments)
        return head.apply(params, x), state

    def attention(params: Params, inputs: Any) -> jax.Array:
        tokens = check_tokens(name, inputs["tokens"] if per == "segment" else inputs)
        mask = padding_mask(token_lengths(tokens), tokens.shape[1])
        return blocks.weights(params["blocks"], embedded.apply(params, tokens), mask=mask)

    return Model(init, apply, attention=attention)


def over_segments(x: jax.Array, numbers: jax.Array, counts: jax.Array, segments: int) -> jax.Array:
    """The mean of `[batch, time, features]` over each segment, `[batch, segments, features]`.

    Args:
        x: what is averaged.
        numbers: the segment of each step, `[batch, time]`.
        counts: which steps count.
        segments: number of segments; one without a step has the mean 0.
    """
    # Each step's share of each segment: a product is faster than sums at places, and as exact.
    member = (numbers[..., None] == jnp.arange(segments)[None, None]) & counts[
        ..., None
    ]  # [B, T, S]
    shares = member / jnp.maximum(member.sum(1, keepdims=True), 1)
    return jnp.einsum("bts,btf->bsf", shares.astype(x.dtype), x)
