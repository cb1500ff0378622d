"""Attention without an array of all scores: the keys are visited block by block."""

from functools import partial
from typing import Any, NamedTuple, TypeAlias, cast

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from dl_jax.functional.attention.masks import Mask, check_causal
from dl_jax.functional.precision import accumulation_dtype
from dl_jax.types import Array

Residuals: TypeAlias = tuple[jax.Array | None, ...]
Sums: TypeAlias = tuple[jax.Array, jax.Array, jax.Array]


class Block(NamedTuple):
    """Some of the keys, with what belongs to them."""

    key: jax.Array  # [batch, block, heads, head_dim]
    value: jax.Array  # [batch, block, heads, value_dim]
    mask: jax.Array | None  # as that of all keys, cut to the block
    source: jax.Array  # [block], the positions of the keys


def blocked_attention(
    query: Float[Array, "batch time heads head_dim"],
    key: Float[Array, "batch source heads head_dim"],
    value: Float[Array, "batch source heads value_dim"],
    *,
    mask: Mask | None = None,
    causal: bool = False,
    block: int = 256,
) -> Float[jax.Array, "batch time heads value_dim"]:
    """`dot_product_attention` in memory that grows with `time * block` instead of `time * source`.

    Each block of keys gives every query a maximum, a sum of exponentials and a sum of values, and
    these sums are merged from block to block. The way back makes the weights of each block again,
    from the logarithm of the whole sum. There is no forward mode and no second derivative.

    Args:
        query: queries.
        key: keys.
        value: values, averaged with the attention weights.
        mask: true where a query may attend to a key; axes of length 1 are broadcast, and take no
            memory.
        causal: a query attends to no key after it, as with `causal_mask`, which is never made.
        block: keys that are visited at once.

    Raises:
        ValueError: it is causal and there are fewer keys than queries.

    Source: Rabe and Staats (2021), arXiv:2112.05682; Dao et al. (2022), arXiv:2205.14135, for the
    way back.
    """
    query, key, value = jnp.asarray(query), jnp.asarray(key), jnp.asarray(value)
    mask = None if mask is None else jnp.asarray(mask)
    if causal:
        check_causal(query.shape[1], key.shape[1])
    return _attend(query, key, value, mask, causal, max(1, min(block, key.shape[1])))


@partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _attend(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    mask: jax.Array | None,
    causal: bool,
    block: int,
) -> jax.Array:
    return _forward(query, key, value, mask, causal, block)[0]


def _forward(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    mask: jax.Array | None,
    causal: bool,
    block: int,
) -> tuple[jax.Array, Residuals]:
    wide = accumulation_dtype(query.dtype)
    batch, time, heads, _ = query.shape

    def merge(sums: Sums, part: Block) -> tuple[Sums, None]:
        largest, total, average = sums
        scores, seen = _scores(query, part, causal, key.shape[1])
        new = jnp.maximum(largest, scores.max(-1))  # [B, H, T]
        weights = jnp.where(seen, jnp.exp(scores - new[..., None]), 0)
        kept = jnp.exp(largest - new)
        average = average * kept[..., None] + _product("bhts,bshv->bhtv", weights, part.value)
        return (new, total * kept + weights.sum(-1), average), None

    start = (
        jnp.full((batch, heads, time), jnp.finfo(wide).min, wide),
        jnp.zeros((batch, heads, time), wide),
        jnp.zeros((batch, heads, time, value.shape[-1]), wide),
    )
    (largest, total, average), _ = lax.scan(merge, start, _blocks(key, value, mask, block))
    total = jnp.where(total == 0, 1, total)  # a query that attends to no key
    output = (average / total[..., None]).swapaxes(1, 2).astype(value.dtype)
    return output, (query, key, value, mask, output, largest + jnp.log(total))


def _backward(
    causal: bool, block: int, residuals: Residuals, gradient: jax.Array
) -> tuple[jax.Array | None, ...]:
    query, key, value, mask, output, log_total = cast(Any, residuals)  # the mask alone is optional
    wide, source, scale = log_total.dtype, key.shape[1], query.shape[-1] ** -0.5
    # Of the softmax's derivative: what each query's weights have in common, [B, H, T].
    common = jnp.einsum("bthv,bthv->bht", gradient, output, preferred_element_type=wide)

    def visit(by_query: jax.Array, part: Block) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        scores, seen = _scores(query, part, causal, source)
        weights = jnp.where(seen, jnp.exp(scores - log_total[..., None]), 0)
        by_value = _product("bhts,bthv->bshv", weights, gradient)
        by_weight = jnp.einsum("bthv,bshv->bhts", gradient, part.value, preferred_element_type=wide)
        by_score = weights * (by_weight - common[..., None]) * scale
        by_query += _product("bhts,bshd->bthd", by_score, part.key)
        return by_query, (_product("bhts,bthd->bshd", by_score, query), by_value)

    by_query, (by_key, by_value) = lax.scan(
        visit, jnp.zeros(query.shape, wide), _blocks(key, value, mask, block)
    )

    def joined(parts: jax.Array, like: jax.Array) -> jax.Array:
        whole = jnp.moveaxis(parts, 0, 1).reshape(len(like), -1, *like.shape[2:])
        return whole[:, :source].astype(like.dtype)

    return by_query.astype(query.dtype), joined(by_key, key), joined(by_value, value), None


_attend.defvjp(_forward, _backward)


def _blocks(key: jax.Array, value: jax.Array, mask: jax.Array | None, block: int) -> Block:
    """The keys cut into blocks, along a new first axis; the last one is filled up."""
    count = max(1, -(-key.shape[1] // block))

    def cut(array: jax.Array, axis: int) -> jax.Array:
        spread = [(0, 0)] * array.ndim
        spread[axis] = (0, count * block - array.shape[axis])
        parts = jnp.pad(array, spread)
        shape = (*array.shape[:axis], count, block, *array.shape[axis + 1 :])
        return jnp.moveaxis(parts.reshape(shape), axis, 0)

    if mask is not None and mask.shape[-1] > 1:
        mask = cut(mask, 3)
    elif mask is not None:
        mask = jnp.broadcast_to(mask[None], (count, *mask.shape))
    places = jnp.arange(count * block).reshape(count, block)
    return Block(cut(key, 1), cut(value, 1), mask, places)


def _scores(
    query: jax.Array, part: Block, causal: bool, source: int
) -> tuple[jax.Array, jax.Array]:
    """Scores of a block, `[batch, heads, time, block]`, and which of them count."""
    wide = accumulation_dtype(query.dtype)
    scores = jnp.einsum("bthd,bshd->bhts", query, part.key, preferred_element_type=wide)
    time = query.shape[1]
    seen = (part.source < source)[None, None, None]
    if causal:
        last = jnp.arange(time) + source - time
        seen = seen & (part.source[None] <= last[:, None])[None, None]
    if part.mask is not None:
        seen = seen & part.mask
    scores = scores * query.shape[-1] ** -0.5
    return jnp.where(seen, scores, jnp.finfo(wide).min), seen


def _product(equation: str, weights: jax.Array, other: jax.Array) -> jax.Array:
    """Of wide weights with what may be narrow: narrow factors, a wide result."""
    return jnp.einsum(
        equation, weights.astype(other.dtype), other, preferred_element_type=weights.dtype
    )
