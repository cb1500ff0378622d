"""Transformer blocks, one on the other: attention and a dense network, each beside a shortcut."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax

from dl_jax.compilation import looped_products
from dl_jax.errors import UsageError, check_choice
from dl_jax.functional import (
    KeyValueCache,
    attend_to,
    context_weights,
    dense,
    dropout,
    empty_cache,
    gelu,
    keys_and_values,
    layer_norm,
    lecun_normal,
    multi_head_attention,
    multi_head_weights,
    relu,
    rms_norm,
    silu,
)
from dl_jax.models.model import check_sizes, layer_key, uses_dropout
from dl_jax.types import Array, Params, PRNGKey, Scalar

NormName: TypeAlias = Literal["layer", "rms"]
DenseName: TypeAlias = Literal["gelu", "relu", "gated"]
Caches: TypeAlias = tuple[KeyValueCache, ...]
Context: TypeAlias = KeyValueCache
"""Keys and values of what all blocks attend to, with a first axis for the blocks."""
NORMS = {"layer": layer_norm, "rms": rms_norm}
ACTIVATIONS = {"gelu": gelu, "relu": relu, "gated": silu}


class Attend(NamedTuple):
    """The attentions of a block, as functions that give what changes and what they found beside it.

    self: `self(y, **layer)`, of a step to the steps.
    context: `context(y, context, **layer)`, of a step to the context.
    """

    self: Callable[..., tuple[jax.Array, Any]]
    context: Callable[..., tuple[jax.Array, Any]]


class Blocks(NamedTuple):
    """A stack of transformer blocks.

    init: `init(key) -> params`. The parameters of all blocks are one tree, each leaf with a first
        axis for the blocks, as in `params["dense1"]["kernel"][block]`.
    apply: `apply(params, x, *, mask=None, causal=False, context=None, context_mask=None, train,
        key=None) -> x`, of `[batch, time, width]`.
    weights: `weights(params, x, ...)`, the same arguments: how much the heads of each block attend,
        `[blocks, batch, heads, time, source]`; to the context, where there is one.
    read: `read(params, memory) -> context`, the keys and values of `[batch, source, width]`.
    start: `start(batch_size, max_length, dtype) -> caches`, one of each block.
    step: `step(params, x, positions, caches, *, context=None, context_mask=None) -> (x, caches)`:
        steps at `positions`, `[batch, time]`, which attend to those in the caches that are not
        after them. It also takes the parameters as `apart(params)` gives them.
    apart: `apart(params)`: the parameters of each block by themselves. Where a step is compiled
        into a loop, this need not be done in each round.
    """

    init: Callable[[PRNGKey], Params]
    apply: Callable[..., jax.Array]
    weights: Callable[..., jax.Array]
    read: Callable[[Params, jax.Array], Context]
    start: Callable[..., Caches]
    step: Callable[..., tuple[jax.Array, Caches]]
    apart: Callable[[Params], tuple[Params, ...]]


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
    cross: bool = False,
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
        rotary: rotate queries and keys of self-attention by their positions.
        cross: attend to a context as well, between the two.
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
    if rotary and width // num_heads % 2:
        raise UsageError(
            f"width is {width} for {num_heads} heads, {width // num_heads} features each, expected "
            "an even number: rotary positions turn pairs of features"
        )
    normalize: Any = NORMS[check_choice("norm", norm, NORMS)]
    activate: Any = ACTIVATIONS[check_choice("activation", activation, ACTIVATIONS)]
    heads = (num_heads, width // num_heads)
    drops = uses_dropout(dropout_rate)
    parts = ("attention", "cross", "dense") if cross else ("attention", "dense")

    def init_block(key: PRNGKey) -> Params:
        def linear(name: str, shape: tuple[int, int], scale: float = 1.0) -> Params:
            kernel = scale * lecun_normal(layer_key(key, name), shape)
            return {"kernel": kernel, "bias": jnp.zeros(shape[1])}

        added = (len(parts) * num_layers) ** -0.5

        def attention(prefix: str) -> Params:
            layer = {}
            for name in ("query", "key", "value"):
                projection = linear(prefix + name, (width, width))
                layer[name] = {
                    leaf: p.reshape(*p.shape[:-1], *heads) for leaf, p in projection.items()
                }
            out = linear(f"{prefix}out", (width, width), added)
            out["kernel"] = out["kernel"].reshape(*heads, width)
            return {**layer, "out": out}

        bias = {"bias": jnp.zeros(width)} if norm == "layer" else {}
        gate = {"gate": linear("gate", (width, hidden_dim))} if activation == "gated" else {}
        return {
            **{f"{part}_norm": {"scale": jnp.ones(width), **bias} for part in parts},
            "attention": attention(""),
            **({"cross": attention("cross_")} if cross else {}),
            "dense1": linear("dense1", (width, hidden_dim)),
            "dense2": linear("dense2", (hidden_dim, width), added),
            **gate,
        }

    def init(key: PRNGKey) -> Params:
        return jax.vmap(init_block)(jax.random.split(key, num_layers))

    def block(
        params: Params,
        x: jax.Array,
        attend: Attend,
        context: Context | None,
        *,
        train: bool,
        key: Any = None,
    ) -> tuple[jax.Array, tuple[Any, Any]]:
        """What comes out, and what both attentions found beside it."""

        def before(name: str) -> jax.Array:
            return normalize(x, **params[f"{name}_norm"]) if norm_first else x

        def after(name: str, change: jax.Array) -> jax.Array:
            if train and drops:
                change = dropout(change, dropout_rate, key=layer_key(key, name))
            return x + change if norm_first else normalize(x + change, **params[f"{name}_norm"])

        found = None
        change, own = attend.self(before("attention"), **params["attention"], rotary=rotary)
        x = after("attention", change)
        if cross:
            change, found = attend.context(before("cross"), context, **params["cross"])
            x = after("cross", change)
        y = before("dense")
        hidden = dense(y, **params["dense1"])
        if activation == "gated":
            hidden = activate(dense(y, **params["gate"])) * hidden
        else:
            hidden = activate(hidden)
        return after("dense", dense(hidden, **params["dense2"])), (own, found)

    def through(
        params: Params,
        x: jax.Array,
        attend: Attend,
        context: Context | None,
        *,
        train: bool,
        key: PRNGKey | None,
    ) -> tuple[jax.Array, tuple[Any, Any]]:
        """`x` after all blocks, and what both attentions found in each, along a first axis."""

        def body(
            x: jax.Array, at: tuple[Params, Any, jax.Array]
        ) -> tuple[jax.Array, tuple[Any, Any]]:
            own, seen, number = at
            own_key = None if key is None else jax.random.fold_in(key, number)
            return block(own, x, attend, seen, train=train, key=own_key)

        body = jax.checkpoint(body) if remat else body
        loop = looped_products(partial(lax.scan, body))
        return loop(x, (params, context, jnp.arange(num_layers)))

    def apply(
        params: Params,
        x: jax.Array,
        *,
        mask: Array | None = None,
        causal: bool = False,
        context: Context | None = None,
        context_mask: Array | None = None,
        train: bool,
        key: PRNGKey | None = None,
    ) -> jax.Array:
        attend = Attend(
            lambda y, **layer: (multi_head_attention(y, mask=mask, causal=causal, **layer), None),
            lambda y, seen, **layer: (attend_to(y, seen, mask=context_mask, **layer), None),
        )
        return through(params, x, attend, context, train=train, key=key)[0]

    def weights(
        params: Params,
        x: jax.Array,
        *,
        mask: Array | None = None,
        causal: bool = False,
        context: Context | None = None,
        context_mask: Array | None = None,
    ) -> jax.Array:
        attend = Attend(
            lambda y, **layer: (
                multi_head_attention(y, mask=mask, causal=causal, **layer),
                multi_head_weights(y, mask=mask, causal=causal, **layer),
            ),
            lambda y, seen, **layer: (
                attend_to(y, seen, mask=context_mask, **layer),
                context_weights(y, seen, mask=context_mask, **layer),
            ),
        )
        own, found = through(params, x, attend, context, train=False, key=None)[1]
        return found if cross else own

    def read(params: Params, memory: jax.Array) -> Context:
        return jax.vmap(lambda layer: keys_and_values(memory, **layer))(params["cross"])

    def start(batch_size: int, max_length: int, dtype: Any = jnp.float32) -> Caches:
        return tuple(empty_cache(batch_size, max_length, *heads, dtype) for _ in range(num_layers))

    def apart(params: Params) -> tuple[Params, ...]:
        return tuple(
            jax.tree.map(lambda leaf, number=number: leaf[number], params)
            for number in range(num_layers)
        )

    def step(
        params: Params | tuple[Params, ...],
        x: jax.Array,
        positions: jax.Array,
        caches: Caches,
        *,
        context: Context | None = None,
        context_mask: Array | None = None,
    ) -> tuple[jax.Array, Caches]:
        after = []
        each = params if isinstance(params, tuple) else apart(params)
        for number, (own, cache) in enumerate(zip(each, caches, strict=True)):
            seen = jax.tree.map(lambda leaf, number=number: leaf[number], context)
            own_attend = partial(multi_head_attention, positions=positions, cache=cache)

            def to_context(y: jax.Array, seen: Context, **layer: Any) -> tuple[jax.Array, None]:
                return attend_to(y, seen, mask=context_mask, **layer), None

            x, found = block(own, x, Attend(own_attend, to_context), seen, train=False)
            after.append(found[0])
        return x, tuple(after)

    return Blocks(init, apply, weights, read, start, step, apart)
