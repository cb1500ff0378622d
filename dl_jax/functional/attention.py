"""Attention, and masks for it: causal and padding."""

from collections.abc import Mapping
from typing import overload

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Integer

from dl_jax.functional.activations import softmax
from dl_jax.functional.channels import spread_channels
from dl_jax.functional.key_value_cache import KeyValueCache, visible, write
from dl_jax.functional.positions import Positions, rotary_positions
from dl_jax.functional.precision import accumulation_dtype
from dl_jax.types import Array, Count

Mask = Bool[Array, "#batch #heads #time #source"]


def dot_product_attention(
    query: Float[Array, "batch time heads head_dim"],
    key: Float[Array, "batch source heads head_dim"],
    value: Float[Array, "batch source heads value_dim"],
    *,
    mask: Mask | None = None,
) -> Float[jax.Array, "batch time heads value_dim"]:
    """`softmax(query key^T / sqrt(head_dim)) value` for each head.

    Products are accumulated and the softmax computed in float32 or wider. A query that may not
    attend to any key has the output 0.

    Args:
        query: queries.
        key: keys.
        value: values, averaged with the attention weights.
        mask: true where a query may attend to a key; axes of length 1 are broadcast.

    Source: Vaswani et al. (2017), arXiv:1706.03762, equation 1.
    """
    query, key, value = jnp.asarray(query), jnp.asarray(key), jnp.asarray(value)
    wide = accumulation_dtype(query.dtype)
    scores = jnp.einsum("bthd,bshd->bhts", query, key, preferred_element_type=wide)
    scores = scores * query.shape[-1] ** -0.5
    if mask is None:
        weights = softmax(scores)
    else:
        # The lowest finite number, not -inf: a row of -inf has no softmax, and its gradient is NaN.
        scores = jnp.where(mask, scores, jnp.finfo(wide).min)
        weights = jnp.where(mask, softmax(scores), 0)
    # [B, H, T, S] x [B, S, H, V] -> [B, T, H, V]
    weights = weights.astype(value.dtype)
    averages = jnp.einsum("bhts,bshv->bthv", weights, value, preferred_element_type=wide)
    return averages.astype(value.dtype)


@overload
def multi_head_attention(
    x: Float[Array, "batch time features"],
    context: Float[Array, "batch source context_features"] | None = None,
    *,
    query: Mapping[str, Array],
    key: Mapping[str, Array],
    value: Mapping[str, Array],
    out: Mapping[str, Array],
    mask: Mask | None = None,
    rotary: bool = False,
    positions: Positions | None = None,
    cache: None = None,
) -> Float[jax.Array, "batch time features"]: ...


@overload
def multi_head_attention(
    x: Float[Array, "batch time features"],
    context: None = None,
    *,
    query: Mapping[str, Array],
    key: Mapping[str, Array],
    value: Mapping[str, Array],
    out: Mapping[str, Array],
    mask: Mask | None = None,
    rotary: bool = False,
    positions: Positions,
    cache: KeyValueCache,
) -> tuple[Float[jax.Array, "batch time features"], KeyValueCache]: ...


def multi_head_attention(
    x: Float[Array, "batch time features"],
    context: Float[Array, "batch source context_features"] | None = None,
    *,
    query: Mapping[str, Array],
    key: Mapping[str, Array],
    value: Mapping[str, Array],
    out: Mapping[str, Array],
    mask: Mask | None = None,
    rotary: bool = False,
    positions: Positions | None = None,
    cache: KeyValueCache | None = None,
) -> (
    Float[jax.Array, "batch time features"]
    | tuple[Float[jax.Array, "batch time features"], KeyValueCache]
):
    """Attention with several heads, each on its own projections of the sequence.

    The parameters are those of Flax's `MultiHeadDotProductAttention`, and a layer is called as

        x = multi_head_attention(x, **params["attention"], mask=mask)

    With a cache, the keys and values of `x` are written into it at `positions`, and each query
    attends to the entries up to its own position:

        x, cache = multi_head_attention(x, **params["attention"], positions=positions, cache=cache)

    A prompt is given in one call, and the tokens after it one by one. Prompts may be padded on the
    right: where the next call goes on at the true length of each row, it overwrites the padding,
    and what lies beyond is not attended to.

    Args:
        x: query sequence.
        context: key and value sequence; `x` itself where None (self-attention).
        query: `kernel` `[features, heads, head_dim]` and optionally `bias` `[heads, head_dim]`.
        key: the same for the context.
        value: the same for the context.
        out: `kernel` `[heads, head_dim, features]` and optionally `bias` `[features]`.
        mask: true where a query may attend to a key; see `causal_mask` and `padding_mask`. With a
            cache its last axis is the cache's length, and it restricts further.
        rotary: apply `rotary_positions` to queries and keys; those of a context count from 0.
        positions: of the steps of `x`, `[time]` or `[batch, time]`; 0, 1, 2, ... where None.
        cache: the keys and values so far (`empty_cache`); positions outside it are not written.

    Returns:
        The output; with a cache the output and the new cache, of the shapes and types of the old.

    Raises:
        ValueError: a cache together with a context, without positions, or of other shapes.

    Source: Vaswani et al. (2017), arXiv:1706.03762, section 3.2.2.
    """
    x = jnp.asarray(x)
    if cache is not None:
        _check_cached(context, positions, mask, cache.key.shape[1])
    source = x if context is None else jnp.asarray(context)
    queries = _project("btf,fhd->bthd", x, **query)
    keys = _project("btf,fhd->bthd", source, **key)
    values = _project("btf,fhd->bthd", source, **value)
    steps = jnp.arange(x.shape[1]) if positions is None else jnp.asarray(positions)
    if rotary:
        queries = rotary_positions(queries, steps)
        keys = rotary_positions(keys, steps if context is None else jnp.arange(keys.shape[1]))
    if cache is not None:
        steps = jnp.broadcast_to(jnp.atleast_2d(steps), x.shape[:2])
        cache = write(cache, keys, values, steps)
        keys, values = (jnp.asarray(entries, x.dtype) for entries in cache)
        mask = visible(cache, steps) if mask is None else visible(cache, steps) & mask
    attended = dot_product_attention(queries, keys, values, mask=mask)
    output = _project("bthd,hdf->btf", attended, **out)
    return output if cache is None else (output, cache)


def causal_mask(time: Count, source: Count | None = None) -> Bool[jax.Array, "1 1 {time} source"]:
    """True where a position may attend: to itself and to those before it.

    The queries are the last `time` of `source` positions, so that the last query sees every key:
    query i sees key j where `j <= i + source - time`.

    Masks are combined with `&`: `causal_mask(8) & padding_mask(lengths, 8)`.

    Args:
        time: number of queries.
        source: number of keys; as many as queries where None.

    Raises:
        ValueError: there are fewer keys than queries.

    Source: Vaswani et al. (2017), arXiv:1706.03762, section 3.2.3.
    """
    source = time if source is None else source
    if source < time:
        raise ValueError(
            f"source is {source}, expected at least time ({time}): each query has a key at its own "
            "position"
        )
    return jnp.tril(jnp.ones((time, source), bool), source - time)[None, None]


def padding_mask(
    lengths: Integer[Array, " batch"], max_length: Count
) -> Bool[jax.Array, "batch 1 1 {max_length}"]:
    """True at the first `lengths[b]` positions of sequence b; the others are padding."""
    return (jnp.arange(max_length)[None, :] < jnp.asarray(lengths)[:, None])[:, None, None, :]


def _check_cached(
    context: Array | None, positions: Array | None, mask: Array | None, length: int
) -> None:
    if context is not None:
        raise ValueError(
            "a cache holds the keys and values of x, and a context is given: attend to a context "
            "without a cache"
        )
    if positions is None:
        raise ValueError(
            "a cache needs the positions of the steps of x: pass positions, for a prompt "
            "jnp.arange(time)"
        )
    if mask is not None and mask.shape[-1] not in (1, length):
        raise ValueError(
            f"mask is for {mask.shape[-1]} keys, expected the cache's {length}; the causal mask is "
            "applied already"
        )


def _project(
    equation: str, x: jax.Array, kernel: Array, bias: Array | None = None
) -> Float[jax.Array, "..."]:
    wide = accumulation_dtype(x.dtype)
    y = jnp.einsum(equation, x, kernel, preferred_element_type=wide).astype(x.dtype)
    if bias is None:
        return y
    flat = y.reshape(*y.shape[: y.ndim - bias.ndim], bias.size)
    return (flat + spread_channels(bias.reshape(-1), flat)).reshape(y.shape)
