"""Transformer blocks, one on the other: attention and a dense network, each beside a shortcut."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax

from dl_jax.errors import UsageError, check_choice
from dl_jax.functional import (
    KeyValueCache,
    dense,
    dropout,
    empty_cache,
    gelu,
    layer_norm,
    lecun_normal,
    multi_head_attention,
    relu,
    rms_norm,
    silu,
)
from dl_jax.models.model import check_sizes, layer_key, uses_dropout
from dl_jax.types import Array, Params, PRNGKey, Scalar

NormName: TypeAlias = Literal["layer", "rms"]
DenseName: TypeAlias = Literal["gelu", "relu", "gated"]
Caches: TypeAlias = tuple[KeyValueCache, ...]
NORMS = {"layer": layer_norm, "rms": rms_norm}
ACTIVATIONS = {"gelu": gelu, "relu": relu, "gated": silu}


class Blocks(NamedTuple):
    """A stack of transformer blocks.

    init: `init(key) -> params`. The parameters of all blocks are one tree, each leaf with a first
        axis for the blocks, as in `params["dense1"]["kernel"][block]`.
    apply: `apply(params, x, *, mask=None, train, key=None) -> x`, of `[batch, time, width]`.
    start: `start(batch_size, max_length, dtype) -> caches`, one of each block.
    step: `step(params, x, positions, caches) -> (x, caches)`: steps at `positions`,
        `[batch, time]`, which attend to those in the caches that are not after them.
    """

    init: Callable[[PRNGKey], Params]
    apply: Callable[..., jax.Array]
    start: Callable[..., Caches]
    step: Callable[..., tuple[jax.Array, Caches]]


def transformer_blocks(
    width: int,
    num_heads: int,
    num_layers: int,
    *,
    hidden_dim: int | None = None,
    norm: NormName = "layer",
    norm_first: bool = True,
    activation: DenseName = "gelu",
    rotary: bool = False,
    dropout_rate: Scalar = 0.0,
    remat: bool = False,
) -> Blocks:
    """Blocks of self-attention and a dense network. Compilation takes as long for many as for few.

    Where a norm comes first, `x + f(norm(x))`, what comes out is not normalized; else the block is
    `norm(x + f(x))`.

    Args:
        width: features of each step.
        num_heads: heads of each attention; a divisor of the width.
        num_layers: number of blocks.
        hidden_dim: units of the dense network; four times the width where None.
        norm: `layer` or `rms`.
        norm_first: where the norms are.
        activation: of the dense network; `gated` multiplies two layers, one of them by SiLU.
        rotary: rotate queries and keys by their positions.
        dropout_rate: probability of dropping a feature of what a shortcut is added to, in training.
        remat: compute a block's activations again on the way back, and keep its input alone.

    Raises:
        UsageError: a size, a name or the rate is out of range.

    Source: Vaswani et al. (2017), arXiv:1706.03762, section 3; Xiong et al. (2020),
    arXiv:2002.04745, for norms that come first; Shazeer (2020), arXiv:2002.05202, for `gated`;
    Radford et al. (2019), "Language models are unsupervised multitask learners", for the initial
    scale of what is added to the shortcuts.
    """
    hidden_dim = 4 * width if hidden_dim is None else hidden_dim
    check_sizes(f"sizes are {width=}, {num_heads=}, {num_layers=}, {hidden_dim=}",
                (width, num_heads, num_layers, hidden_dim))  # fmt: skip
    if width % num_heads:
        raise UsageError(
            f"width is {width}, expected a multiple of the number of heads, {num_heads}"
        )
    normalize: Any = NORMS[check_choice("norm", norm, NORMS)]
    activate: Any = ACTIVATIONS[check_choice("activation", activation, ACTIVATIONS)]
    heads = (num_heads, width // num_heads)
    drops = uses_dropout(dropout_rate)

    def init_block(key: PRNGKey) -> Params:
        def linear(name: str, shape: tuple[int, int], scale: float = 1.0) -> Params:
            kernel = scale * lecun_normal(layer_key(key, name), shape)
            return {"kernel": kernel, "bias": jnp.zeros(shape[1])}

        def project(name: str) -> Params:
            layer = linear(name, (width, width))
            return {leaf: p.reshape(*p.shape[:-1], *heads) for leaf, p in layer.items()}

        def scale() -> Params:
            bias = {"bias": jnp.zeros(width)} if norm == "layer" else {}
            return {"scale": jnp.ones(width), **bias}

        added = (2 * num_layers) ** -0.5
        out = linear("out", (width, width), added)
        out["kernel"] = out["kernel"].reshape(*heads, width)
        gate = {"gate": linear("gate", (width, hidden_dim))} if activation == "gated" else {}
        return {
            "attention_norm": scale(),
            "attention": {
                **{name: project(name) for name in ("query", "key", "value")},
                "out": out,
            },
            "dense_norm": scale(),
            "dense1": linear("dense1", (width, hidden_dim)),
            "dense2": linear("dense2", (hidden_dim, width), added),
            **gate,
        }

    def init(key: PRNGKey) -> Params:
        return jax.vmap(init_block)(jax.random.split(key, num_layers))

    def block(
        params: Params, x: jax.Array, attend: Callable[..., Any], *, train: bool, key: Any = None
    ) -> tuple[jax.Array, Any]:
        def before(name: str) -> jax.Array:
            return normalize(x, **params[f"{name}_norm"]) if norm_first else x

        def after(name: str, change: jax.Array) -> jax.Array:
            if train and drops:
                change = dropout(change, dropout_rate, key=layer_key(key, name))
            return x + change if norm_first else normalize(x + change, **params[f"{name}_norm"])

        change, cache = attend(before("attention"), **params["attention"], rotary=rotary)
        x = after("attention", change)
        y = before("dense")
        hidden = dense(y, **params["dense1"])
        if activation == "gated":
            hidden = activate(dense(y, **params["gate"])) * hidden
        else:
            hidden = activate(hidden)
        return after("dense", dense(hidden, **params["dense2"])), cache

    def apply(
        params: Params,
        x: jax.Array,
        *,
        mask: Array | None = None,
        train: bool,
        key: PRNGKey | None = None,
    ) -> jax.Array:
        def attend(y: jax.Array, **layer: Any) -> tuple[jax.Array, None]:
            return multi_head_attention(y, mask=mask, **layer), None

        def body(x: jax.Array, at: tuple[Params, jax.Array]) -> tuple[jax.Array, None]:
            own, number = at
            own_key = None if key is None else jax.random.fold_in(key, number)
            return block(own, x, attend, train=train, key=own_key)

        body = jax.checkpoint(body) if remat else body
        return lax.scan(body, x, (params, jnp.arange(num_layers)))[0]

    def start(batch_size: int, max_length: int, dtype: Any = jnp.float32) -> Caches:
        return tuple(empty_cache(batch_size, max_length, *heads, dtype) for _ in range(num_layers))

    def step(
        params: Params, x: jax.Array, positions: jax.Array, caches: Caches
    ) -> tuple[jax.Array, Caches]:
        after = []
        for number, cache in enumerate(caches):
            own = jax.tree.map(lambda leaf, number=number: leaf[number], params)
            attend = partial(multi_head_attention, positions=positions, cache=cache)
            x, cache = block(own, x, attend, train=False)
            after.append(cache)
        return x, tuple(after)

    return Blocks(init, apply, start, step)
