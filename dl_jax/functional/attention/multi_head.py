"""Attention with several heads, on parameters as Flax has them."""

from collections.abc import Mapping
from typing import overload

import jax
import jax.numpy as jnp
from jaxtyping import Float

from dl_jax.functional.attention.dot_product import attention_weights, dot_product_attention
from dl_jax.functional.attention.key_value_cache import KeyValueCache, visible, write
from dl_jax.functional.attention.masks import Mask, causal_mask
from dl_jax.functional.attention.positions import Positions, rotary_positions
from dl_jax.functional.channels import spread_channels
from dl_jax.functional.precision import accumulation_dtype
from dl_jax.types import Array


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
    causal: bool = False,
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
    causal: bool = False,
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
    causal: bool = False,
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
        causal: a step attends to none after it; with a cache that is so at any rate.
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
        causal = False
    attended = dot_product_attention(queries, keys, values, mask=mask, causal=causal)
    output = _project("bthd,hdf->btf", attended, **out)
    return output if cache is None else (output, cache)


def keys_and_values(
    context: Float[Array, "batch source context_features"],
    *,
    key: Mapping[str, Array],
    value: Mapping[str, Array],
    **rest: Mapping[str, Array],
) -> KeyValueCache:
    """The keys and values of a context, computed once for all that `attend_to` them.

    Args:
        context: what is attended to.
        key: as for `multi_head_attention`.
        value: as for `multi_head_attention`.
        rest: the layer's other parameters, which they do not depend on.
    """
    del rest
    context = jnp.asarray(context)
    return KeyValueCache(
        _project("btf,fhd->bthd", context, **key), _project("btf,fhd->bthd", context, **value)
    )


def attend_to(
    x: Float[Array, "batch time features"],
    context: KeyValueCache,
    *,
    query: Mapping[str, Array],
    out: Mapping[str, Array],
    mask: Mask | None = None,
    **rest: Mapping[str, Array],
) -> Float[jax.Array, "batch time features"]:
    """`multi_head_attention` to a context whose `keys_and_values` are known.

    Args:
        x: query sequence.
        context: keys and values.
        query: as for `multi_head_attention`.
        out: as for `multi_head_attention`.
        mask: true where a query may attend to a key.
        rest: the layer's other parameters, which are in the context already.
    """
    del rest
    queries = _project("btf,fhd->bthd", jnp.asarray(x), **query)
    attended = dot_product_attention(queries, context.key, context.value, mask=mask)
    return _project("bthd,hdf->btf", attended, **out)


def context_weights(
    x: Float[Array, "batch time features"],
    context: KeyValueCache,
    *,
    query: Mapping[str, Array],
    mask: Mask | None = None,
    **rest: Mapping[str, Array],
) -> Float[jax.Array, "batch heads time source"]:
    """The weights with which the heads of `attend_to` average, to be looked at.

    Args:
        x: query sequence.
        context: keys and values.
        query: as for `multi_head_attention`.
        mask: true where a query may attend to a key.
        rest: the layer's other parameters, which weights do not depend on.
    """
    del rest
    queries = _project("btf,fhd->bthd", jnp.asarray(x), **query)
    return attention_weights(queries, context.key, mask=mask)


def multi_head_weights(
    x: Float[Array, "batch time features"],
    *,
    query: Mapping[str, Array],
    key: Mapping[str, Array],
    mask: Mask | None = None,
    causal: bool = False,
    rotary: bool = False,
    **rest: Mapping[str, Array],
) -> Float[jax.Array, "batch heads time time"]:
    """The weights with which the heads of self-attention average, to be looked at.

    Args:
        x: sequence.
        query: as for `multi_head_attention`.
        key: as for `multi_head_attention`.
        mask: true where a query may attend to a key.
        causal: a step attends to none after it.
        rotary: apply `rotary_positions` to queries and keys.
        rest: the layer's other parameters, which weights do not depend on.
    """
    del rest
    x = jnp.asarray(x)
    queries = _project("btf,fhd->bthd", x, **query)
    keys = _project("btf,fhd->bthd", x, **key)
    if rotary:
        steps = jnp.arange(x.shape[1])
        queries, keys = rotary_positions(queries, steps), rotary_positions(keys, steps)
    if causal:
        mask = causal_mask(x.shape[1]) if mask is None else causal_mask(x.shape[1]) & mask
    return attention_weights(queries, keys, mask=mask)


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
