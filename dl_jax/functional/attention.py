"""Attention, and the masks that say what may be attended to."""

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from dl_jax.functional.activations import softmax
from dl_jax.functional.broadcasting import expand_as
from dl_jax.functional.positions import rotary_positions

Mask = Bool[Array, "#batch #heads #time #source"]


def dot_product_attention(
    query: Float[Array, "batch time heads head_dim"],
    key: Float[Array, "batch source heads head_dim"],
    value: Float[Array, "batch source heads value_dim"],
    *,
    mask: Mask | None = None,
) -> Float[Array, "batch time heads value_dim"]:
    """`softmax(query key^T / sqrt(head_dim)) value`, head by head.

    The products are accumulated and the softmax taken in float32. A query that may attend to
    nothing has the result 0.

    Args:
        query: what looks.
        key: what is looked at.
        value: what is then taken.
        mask: true where a query may attend to a key; axes of length 1 stand for all.

    Source: Vaswani et al. (2017), arXiv:1706.03762, equation 1.
    """
    wide = jnp.promote_types(query.dtype, jnp.float32)
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
    taken = jnp.einsum("bhts,bshv->bthv", weights, value, preferred_element_type=wide)
    return taken.astype(value.dtype)


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
) -> Float[Array, "batch time features"]:
    """Several attentions side by side, each on its own projections of the same sequence.

    The parameters are those of Flax's `MultiHeadDotProductAttention`, and a layer is called as

        x = multi_head_attention(x, **params["attention"], mask=mask)

    Args:
        x: the sequence that looks.
        context: the sequence that is looked at; `x` itself where None (self-attention).
        query: `kernel` `[features, heads, head_dim]` and, if wanted, `bias` `[heads, head_dim]`.
        key: likewise, of the context.
        value: likewise, of the context.
        out: `kernel` `[heads, head_dim, features]` and, if wanted, `bias` `[features]`.
        mask: true where a query may attend to a key, as `causal_mask` and `padding_mask` make it.
        rotary: turn queries and keys by their positions (`rotary_positions`).

    Source: Vaswani et al. (2017), arXiv:1706.03762, section 3.2.2.
    """
    context = x if context is None else context
    queries = _project("btf,fhd->bthd", x, **query)
    keys = _project("btf,fhd->bthd", context, **key)
    values = _project("btf,fhd->bthd", context, **value)
    if rotary:
        queries = rotary_positions(queries, jnp.arange(queries.shape[1]))
        keys = rotary_positions(keys, jnp.arange(keys.shape[1]))
    attended = dot_product_attention(queries, keys, values, mask=mask)
    return _project("bthd,hdf->btf", attended, **out)


def causal_mask(length: int) -> Bool[Array, "1 1 {length} {length}"]:
    """True where a position attends to itself or to one before it.

    Masks are combined with `&`: `causal_mask(8) & padding_mask(lengths, 8)`.

    Source: Vaswani et al. (2017), arXiv:1706.03762, section 3.2.3.
    """
    return jnp.tril(jnp.ones((length, length), bool))[None, None]


def padding_mask(
    lengths: Int[Array, " batch"], max_length: int
) -> Bool[Array, "batch 1 1 {max_length}"]:
    """True at the first `lengths[b]` positions of sequence b, which are not padding."""
    return (jnp.arange(max_length)[None, :] < lengths[:, None])[:, None, None, :]


def _project(letters: str, x: Array, kernel: Array, bias: Array | None = None) -> Array:
    wide = jnp.promote_types(x.dtype, jnp.float32)
    y = jnp.einsum(letters, x, kernel, preferred_element_type=wide).astype(x.dtype)
    return y if bias is None else y + expand_as(bias, y).astype(y.dtype)
