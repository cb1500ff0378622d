"""Attention, and masks for it: causal and padding."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Integer

from dl_jax.functional.activations import softmax
from dl_jax.functional.broadcasting import expand_as
from dl_jax.functional.positions import rotary_positions
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
) -> Float[jax.Array, "batch time features"]:
    """Attention with several heads, each on its own projections of the sequence.

    The parameters are those of Flax's `MultiHeadDotProductAttention`, and a layer is called as

        x = multi_head_attention(x, **params["attention"], mask=mask)

    Args:
        x: query sequence.
        context: key and value sequence; `x` itself where None (self-attention).
        query: `kernel` `[features, heads, head_dim]` and optionally `bias` `[heads, head_dim]`.
        key: the same for the context.
        value: the same for the context.
        out: `kernel` `[heads, head_dim, features]` and optionally `bias` `[features]`.
        mask: true where a query may attend to a key; see `causal_mask` and `padding_mask`.
        rotary: apply `rotary_positions`, counted from 0, to queries and keys.

    Source: Vaswani et al. (2017), arXiv:1706.03762, section 3.2.2.
    """
    x = jnp.asarray(x)
    context = x if context is None else jnp.asarray(context)
    queries = _project("btf,fhd->bthd", x, **query)
    keys = _project("btf,fhd->bthd", context, **key)
    values = _project("btf,fhd->bthd", context, **value)
    if rotary:
        queries = rotary_positions(queries, jnp.arange(queries.shape[1]))
        keys = rotary_positions(keys, jnp.arange(keys.shape[1]))
    attended = dot_product_attention(queries, keys, values, mask=mask)
    return _project("bthd,hdf->btf", attended, **out)


def causal_mask(length: Count) -> Bool[jax.Array, "1 1 {length} {length}"]:
    """True where a position may attend: to itself and to those before it.

    Masks are combined with `&`: `causal_mask(8) & padding_mask(lengths, 8)`.

    Source: Vaswani et al. (2017), arXiv:1706.03762, section 3.2.3.
    """
    return jnp.tril(jnp.ones((length, length), bool))[None, None]


def padding_mask(
    lengths: Integer[Array, " batch"], max_length: Count
) -> Bool[jax.Array, "batch 1 1 {max_length}"]:
    """True at the first `lengths[b]` positions of sequence b; the others are padding."""
    return (jnp.arange(max_length)[None, :] < jnp.asarray(lengths)[:, None])[:, None, None, :]


def _project(
    equation: str, x: jax.Array, kernel: Array, bias: Array | None = None
) -> Float[jax.Array, "..."]:
    wide = accumulation_dtype(x.dtype)
    y = jnp.einsum(equation, x, kernel, preferred_element_type=wide).astype(x.dtype)
    return y if bias is None else y + expand_as(bias, y).astype(y.dtype)
