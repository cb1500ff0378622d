"""What is in front of the blocks and behind them: embedded tokens with their positions, a head."""

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from dl_jax.errors import UsageError, check_choice
from dl_jax.functional import dense, dropout, embed, lecun_normal, sinusoidal_positions
from dl_jax.models.model import check_sizes, layer_key, uses_dropout
from dl_jax.models.tokens import check_tokens, embedding_of
from dl_jax.models.transformers.blocks import NORMS, NormName
from dl_jax.types import Array, Params, PRNGKey, Scalar

PositionName: TypeAlias = Literal["learned", "sinusoidal", "rotary"]
POSITIONS = ("learned", "sinusoidal", "rotary")


class Embedded(NamedTuple):
    """Tokens as vectors, with their positions.

    init: `init(key) -> params`: `embedding`, and `positions` where they are learned.
    apply: `apply(params, tokens, at=None, *, train=False, key=None) -> x`, of tokens
        `[batch, time]` at the positions `at`, `[batch, time]`: 0, 1, 2, ... where None.
    """

    init: Callable[[PRNGKey], Params]
    apply: Callable[..., jax.Array]


class Head(NamedTuple):
    """What becomes of the last block's outputs.

    init: `init(key) -> params`: `norm`, where norms come first, and `head`, where it is not tied.
    normalize: `normalize(params, x)`: the norm, where norms come first.
    apply: `apply(params, x) -> logits`, of what is normalized.
    """

    init: Callable[[PRNGKey], Params]
    normalize: Callable[[Params, jax.Array], jax.Array]
    apply: Callable[[Params, jax.Array], jax.Array]


def embedded_tokens(
    name: str,
    vocab_size: int,
    max_length: int,
    width: int,
    positions: PositionName,
    dropout_rate: Scalar,
) -> Embedded:
    """Embedded tokens: `learned` or `sinusoidal` positions are added, `rotary` ones are not.

    Args:
        name: of the network, for what it refuses.
        vocab_size: number of different tokens, that of padding included.
        max_length: tokens of a text, at most.
        width: features of a token.
        positions: `learned`, `sinusoidal` or `rotary`.
        dropout_rate: probability of dropping a feature in training.

    Raises:
        UsageError: a size or a name is out of range; and, when it is applied, the inputs are no
            tokens, or are too long.
    """
    check_sizes(f"sizes are {vocab_size=}, {max_length=}", (vocab_size, max_length))
    check_choice("positions", positions, POSITIONS)
    if positions == "sinusoidal" and width % 2:
        raise UsageError(f"width is {width}, expected an even number: positions are pairs of waves")

    def init(key: PRNGKey) -> Params:
        params = {"embedding": embedding_of(layer_key(key, "embedding"), vocab_size, width)}
        if positions == "learned":
            params["positions"] = embedding_of(layer_key(key, "positions"), max_length, width)
        return params

    def apply(
        params: Params,
        tokens: Array,
        at: jax.Array | None = None,
        *,
        train: bool = False,
        key: PRNGKey | None = None,
    ) -> jax.Array:
        tokens = check_tokens(name, tokens)
        check_length(name, tokens.shape[1], max_length)
        at = jnp.arange(tokens.shape[1])[None] if at is None else at
        x = embed(tokens, params["embedding"]["embedding"])
        if positions == "learned":
            x = x + embed(at, params["positions"]["embedding"])
        elif positions == "sinusoidal":
            codes = sinusoidal_positions(max_length, width).astype(x.dtype)
            x = x * width**0.5 + embed(at, codes)
        if train and uses_dropout(dropout_rate):
            x = dropout(x, dropout_rate, key=layer_key(key, "embedding"))
        return x

    return Embedded(init, apply)


def head_of(width: int, outputs: int, norm: NormName, norm_first: bool, tied: bool) -> Head:
    """The last norm and the head; a tied one is the embedding.

    Args:
        width: features of each step.
        outputs: units of the head.
        norm: `layer` or `rms`.
        norm_first: whether norms come first, so that one is missing behind the blocks.
        tied: whether the head's kernel is `params["embedding"]`, and there is no bias.
    """
    normalized = NORMS[check_choice("norm", norm, NORMS)]
    check_sizes(f"sizes are {outputs=}", (outputs,))

    def init(key: PRNGKey) -> Params:
        params = {}
        if norm_first:
            bias = {"bias": jnp.zeros(width)} if norm == "layer" else {}
            params["norm"] = {"scale": jnp.ones(width), **bias}
        if not tied:
            kernel = lecun_normal(layer_key(key, "head"), (width, outputs))
            params["head"] = {"kernel": kernel, "bias": jnp.zeros(outputs)}
        return params

    def normalize(params: Params, x: jax.Array) -> jax.Array:
        return normalized(x, **params["norm"]) if norm_first else x

    def apply(params: Params, x: jax.Array) -> jax.Array:
        return dense(x, params["embedding"]["embedding"].T) if tied else dense(x, **params["head"])

    return Head(init, normalize, apply)


def check_length(name: str, length: int, max_length: int) -> None:
    """Raise unless a text of `length` tokens is not too long.

    Raises:
        UsageError: it is.
    """
    if length > max_length:
        raise UsageError(
            f"{name} got {length} tokens, expected at most {max_length}: its max_length"
        )
