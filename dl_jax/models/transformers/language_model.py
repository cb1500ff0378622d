"""The transformer that reads from left to right: a language model."""

import jax
import jax.numpy as jnp

from dl_jax.models.model import Carry, Logits, Model, Stepper, layer_key
from dl_jax.models.tokens import check_tokens
from dl_jax.models.transformers.blocks import DenseName, NormName, transformer_blocks
from dl_jax.models.transformers.ends import PositionName, check_length, embedded_tokens, head_of
from dl_jax.types import Array, Params, PRNGKey, Scalar, State, Tree


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
        hidden_dim: units of the dense networks; four times the width where None.
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
    name = "transformer_lm"
    embedded = embedded_tokens(name, vocab_size, max_length, width, positions, dropout_rate)
    blocks = transformer_blocks(
        width, num_heads, num_layers, hidden_dim=hidden_dim, norm=norm, norm_first=norm_first,
        activation=activation, rotary=positions == "rotary", dropout_rate=dropout_rate, remat=remat,
    )  # fmt: skip
    head = head_of(width, vocab_size, norm, norm_first, tied)

    def init(key: PRNGKey) -> tuple[Params, State]:
        inside = {"blocks": blocks.init(layer_key(key, "blocks"))}
        return {**embedded.init(key), **inside, **head.init(key)}, {}

    def logits_of(params: Params, x: jax.Array) -> jax.Array:
        return head.apply(params, head.normalize(params, x))

    def apply(
        params: Params, state: State, inputs: Array, *, train: bool, key: PRNGKey | None = None
    ) -> tuple[Logits, State]:
        x = embedded.apply(params, inputs, train=train, key=key)
        key = None if key is None else layer_key(key, "blocks")
        x = blocks.apply(params["blocks"], x, causal=True, train=train, key=key)
        return logits_of(params, x), state

    def attention(params: Params, inputs: Array) -> jax.Array:
        return blocks.weights(params["blocks"], embedded.apply(params, inputs), causal=True)

    def start(params: Params, batch_size: int, length: int, context: Tree = None) -> Carry:
        del context
        check_length(name, length, max_length)
        dtype = params["embedding"]["embedding"].dtype
        return {
            "length": jnp.zeros(batch_size, jnp.int32),
            "caches": blocks.start(batch_size, length, dtype),
        }

    def step(
        params: Params, carry: Carry, tokens: Array, lengths: Array | None = None
    ) -> tuple[Carry, Logits]:
        tokens = check_tokens(name, tokens)
        batch, time = tokens.shape
        at = carry["length"][:, None] + jnp.arange(time)[None]
        x = embedded.apply(params, tokens, at)
        x, caches = blocks.step(params["blocks"], x, at, carry["caches"])
        counted = jnp.full(batch, time) if lengths is None else jnp.asarray(lengths)
        last = jnp.take_along_axis(x, (counted - 1)[:, None, None], axis=1)[:, 0]
        after = {"length": carry["length"] + counted.astype(jnp.int32), "caches": caches}
        return after, logits_of(params, last)

    def prepare(params: Params) -> Params:
        return {**params, "blocks": blocks.apart(params["blocks"])}

    return Model(init, apply, stepper=Stepper(start, step, prepare), attention=attention)
