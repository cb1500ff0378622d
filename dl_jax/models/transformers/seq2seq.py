"""The transformer that writes a text about another: an encoder and a decoder that looks at it."""

from typing import Any

import jax
import jax.numpy as jnp

from dl_jax.errors import UsageError
from dl_jax.functional import padding_mask
from dl_jax.models.model import Carry, Logits, Model, Stepper, layer_key
from dl_jax.models.tokens import check_tokens, token_lengths
from dl_jax.models.transformers.blocks import DenseName, NormName, transformer_blocks
from dl_jax.models.transformers.ends import PositionName, check_length, embedded_tokens, head_of
from dl_jax.types import Array, Params, PRNGKey, Scalar, State, Tree


def transformer_seq2seq(
    vocab_size: int,
    max_source: int,
    max_target: int,
    *,
    width: int = 128,
    num_heads: int = 4,
    num_layers: int = 2,
    hidden_dim: int | None = None,
    positions: PositionName = "learned",
    norm: NormName = "layer",
    norm_first: bool = True,
    activation: DenseName = "gelu",
    dropout_rate: Scalar = 0.0,
    remat: bool = False,
) -> Model:
    """Encoder and decoder: a source, and a target so far, to the logits of what follows each token.

    Inputs are a dict of `source`, integers `[batch, source]`, and `target`, `[batch, time]`, 0
    being padding behind both; outputs are `[batch, time, vocab_size]`. A token of the target sees
    the whole source, and of the target itself and what is before it. One embedding serves both, and
    the head. The `stepper` reads the source once: it is the `context` of what is generated.

    Args:
        vocab_size: number of different tokens, that of padding included.
        max_source: tokens of a source, at most.
        max_target: tokens of a target, at most.
        width: features of each token.
        num_heads: heads of each attention; a divisor of the width.
        num_layers: number of blocks of the encoder, and of the decoder.
        hidden_dim: units of the dense networks; four times the width where None.
        positions: `learned`, `sinusoidal` or `rotary`.
        norm: `layer` or `rms`.
        norm_first: norms before what is added to the shortcuts, and one behind the blocks; else
            after each sum.
        activation: of the dense networks; `gated` multiplies two layers, one of them by SiLU.
        dropout_rate: probability of dropping a feature of the embedded tokens and of what a
            shortcut is added to, in training, in [0, 1).
        remat: keep each block's input alone for the way back, and compute the rest again.

    Raises:
        UsageError: a size, a name or the rate is out of range; and, when the model is applied, the
            inputs are no tokens, or are too long, or there is no source.

    Source: Vaswani et al. (2017), arXiv:1706.03762.
    """
    name = "transformer_seq2seq"
    rotary = positions == "rotary"
    options: Any = {
        "hidden_dim": hidden_dim, "norm": norm, "norm_first": norm_first, "activation": activation,
        "rotary": rotary, "dropout_rate": dropout_rate, "remat": remat,
    }  # fmt: skip
    sources = embedded_tokens(name, vocab_size, max_source, width, positions, dropout_rate)
    targets = embedded_tokens(name, vocab_size, max_target, width, positions, dropout_rate)
    encoder = transformer_blocks(width, num_heads, num_layers, **options)
    decoder = transformer_blocks(width, num_heads, num_layers, cross=True, **options)
    head = head_of(width, vocab_size, norm, norm_first, tied=True)

    def init(key: PRNGKey) -> tuple[Params, State]:
        def part(which: str, embedded: Any, blocks: Any) -> Params:
            own = layer_key(key, which)
            params = embedded.init(own)
            del params["embedding"]  # that of both is outside
            return {**params, "blocks": blocks.init(own), **head.init(own)}

        return {
            "embedding": targets.init(key)["embedding"],
            "encoder": part("encoder", sources, encoder),
            "decoder": part("decoder", targets, decoder),
        }, {}

    def of(params: Params, which: str) -> Params:
        return {"embedding": params["embedding"], **params[which]}

    def encode(
        params: Params, source: Array, *, train: bool, key: PRNGKey | None = None
    ) -> tuple[Tree, jax.Array]:
        """Keys and values for each block of the decoder, and where the source is no padding."""
        source, own = check_tokens(name, source), of(params, "encoder")
        key = None if key is None else layer_key(key, "encoder")
        mask = padding_mask(token_lengths(source), source.shape[1])
        x = sources.apply(own, source, train=train, key=key)
        x = head.normalize(own, encoder.apply(own["blocks"], x, mask=mask, train=train, key=key))
        return decoder.read(params["decoder"]["blocks"], x), mask

    def apply(
        params: Params, state: State, inputs: Any, *, train: bool, key: PRNGKey | None = None
    ) -> tuple[Logits, State]:
        context, mask = encode(params, inputs["source"], train=train, key=key)
        own = of(params, "decoder")
        key = None if key is None else layer_key(key, "decoder")
        x = targets.apply(own, inputs["target"], train=train, key=key)
        x = decoder.apply(
            own["blocks"], x, causal=True, context=context, context_mask=mask, train=train, key=key
        )
        return head.apply(own, head.normalize(own, x)), state

    def attention(params: Params, inputs: Any) -> jax.Array:
        context, mask = encode(params, inputs["source"], train=False)
        own = of(params, "decoder")
        x = targets.apply(own, inputs["target"])
        return decoder.weights(own["blocks"], x, causal=True, context=context, context_mask=mask)

    def start(params: Params, batch_size: int, length: int, context: Tree = None) -> Carry:
        check_length(name, length, max_target)
        if context is None or len(context) != batch_size:
            raise UsageError(
                f"{name} writes about a source: pass context, tokens of {batch_size} sources"
            )
        read, mask = encode(params, context, train=False)
        dtype = params["embedding"]["embedding"].dtype
        return {
            "length": jnp.zeros(batch_size, jnp.int32),
            "caches": decoder.start(batch_size, length, dtype),
            "context": jax.tree.map(lambda leaf: leaf.swapaxes(0, 1), read),  # the batch first
            "mask": mask,
        }

    def step(
        params: Params, carry: Carry, tokens: Array, lengths: Array | None = None
    ) -> tuple[Carry, Logits]:
        own, tokens = of(params, "decoder"), check_tokens(name, tokens)
        batch, time = tokens.shape
        at = carry["length"][:, None] + jnp.arange(time)[None]
        x = targets.apply(own, tokens, at)
        context = jax.tree.map(lambda leaf: leaf.swapaxes(0, 1), carry["context"])
        x, caches = decoder.step(
            own["blocks"], x, at, carry["caches"], context=context, context_mask=carry["mask"]
        )
        counted = jnp.full(batch, time) if lengths is None else jnp.asarray(lengths)
        last = jnp.take_along_axis(x, (counted - 1)[:, None, None], axis=1)[:, 0]
        after = {
            **carry, "length": carry["length"] + counted.astype(jnp.int32), "caches": caches
        }  # fmt: skip
        return after, head.apply(own, head.normalize(own, last))

    def prepare(params: Params) -> Params:
        own = params["decoder"]
        return {**params, "decoder": {**own, "blocks": decoder.apart(own["blocks"])}}

    return Model(init, apply, stepper=Stepper(start, step, prepare), attention=attention)
