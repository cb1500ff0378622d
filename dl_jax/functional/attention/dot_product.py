"""Attention: one meaning, and the ways to compute it."""

from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Float

from dl_jax.functional.activations import softmax
from dl_jax.functional.attention.blocked import blocked_attention
from dl_jax.functional.attention.masks import Mask, causal_mask
from dl_jax.functional.precision import accumulation_dtype
from dl_jax.types import Array

Way: TypeAlias = Literal["plain", "blocked", "cudnn"]
LARGEST_SCORES = 2**28
"""Bytes of scores beyond which they are not kept as one array."""


def dot_product_attention(
    query: Float[Array, "batch time heads head_dim"],
    key: Float[Array, "batch source heads head_dim"],
    value: Float[Array, "batch source heads value_dim"],
    *,
    mask: Mask | None = None,
    causal: bool = False,
    way: Way | None = None,
) -> Float[jax.Array, "batch time heads value_dim"]:
    """`softmax(query key^T / sqrt(head_dim)) value` for each head.

    Products are accumulated and the softmax computed in float32 or wider. A query that may not
    attend to any key has the output 0.

    Args:
        query: queries.
        key: keys.
        value: values, averaged with the attention weights.
        mask: true where a query may attend to a key; axes of length 1 are broadcast.
        causal: a query attends to no key after it, as with `causal_mask`.
        way: to compute it: `plain`, as it is written; `blocked`, without an array of all scores
            (`blocked_attention`); `cudnn`, a GPU's own, for narrow floats. `best_way` where None.

    Raises:
        ValueError: it is causal and there are fewer keys than queries.

    Source: Vaswani et al. (2017), arXiv:1706.03762, equation 1.
    """
    query, key, value = jnp.asarray(query), jnp.asarray(key), jnp.asarray(value)
    way = best_way(query, key, value, masked=mask is not None) if way is None else way
    if way == "blocked":
        return blocked_attention(query, key, value, mask=mask, causal=causal)
    if way == "cudnn":
        return _by_cudnn(query, key, value, mask, causal)
    if query.shape[1] == 1:  # which is the last one, and sees every key
        return _of_one_query(query, key, value, mask)
    if causal:
        earlier = causal_mask(query.shape[1], key.shape[1])
        mask = earlier if mask is None else earlier & mask
    weights = attention_weights(query, key, mask=mask)
    # [B, H, T, S] x [B, S, H, V] -> [B, T, H, V]
    averages = jnp.einsum(
        "bhts,bshv->bthv", weights.astype(value.dtype), value, preferred_element_type=weights.dtype
    )
    return averages.astype(value.dtype)


def best_way(
    query: Float[Array, "batch time heads head_dim"],
    key: Float[Array, "batch source heads head_dim"],
    value: Float[Array, "batch source heads value_dim"],
    *,
    masked: bool = False,
) -> Way:
    """How attention is computed on the present platform: decided here and nowhere else.

    cuDNN's kernel needs a GPU, narrow floats and values as long as keys; with a mask its gradient
    takes even lengths alone. What is written out is fastest on a CPU, as long as the scores are few
    enough to be kept.
    """
    batch, time, heads, size = query.shape
    narrow = query.dtype in (jnp.bfloat16, jnp.float16)
    fits = size == jnp.shape(value)[-1] and size % 8 == 0 and size <= 128
    even = not masked or (time % 2 == 0 and key.shape[1] % 2 == 0)
    if jax.default_backend() == "gpu" and narrow and fits and even:
        return "cudnn"
    bytes_each = accumulation_dtype(query.dtype).itemsize
    scores = batch * heads * time * key.shape[1] * bytes_each
    return "plain" if scores <= LARGEST_SCORES else "blocked"


def _of_one_query(
    query: jax.Array, key: jax.Array, value: jax.Array, mask: Mask | None
) -> jax.Array:
    """The same for a single query, as in generation: sums in the order of the cache's memory.

    As products of matrices, every step would transpose all keys and values that are cached.
    """
    wide = accumulation_dtype(query.dtype)
    scores = (query.astype(wide) * key).sum(-1) * query.shape[-1] ** -0.5  # [B, S, H]
    if mask is None:
        weights = softmax(scores, axis=1)
    else:
        seen = jnp.asarray(mask)[:, :, 0].swapaxes(1, 2)
        scores = jnp.where(seen, scores, jnp.finfo(wide).min)
        weights = jnp.where(seen, softmax(scores, axis=1), 0)
    weights = weights.astype(value.dtype).astype(wide)
    return (weights[..., None] * value).sum(1, keepdims=True).astype(value.dtype)


def _by_cudnn(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    mask: Mask | None,
    causal: bool,
    implementation: Literal["cudnn", "xla"] = "cudnn",
) -> jax.Array:
    # Its causality counts from the first query, ours from the last; and with a mask beside it, it
    # does not say which queries see nothing.
    if causal and (mask is not None or query.shape[1] != key.shape[1]):
        earlier, causal = causal_mask(query.shape[1], key.shape[1]), False
        mask = earlier if mask is None else earlier & mask
    averages = jax.nn.dot_product_attention(
        query, key, value, mask=mask, is_causal=causal, implementation=implementation
    )
    if mask is None:
        return averages
    attends = jnp.moveaxis(jnp.asarray(mask).any(-1, keepdims=True), 1, 2)  # [B, T, H, 1]
    return jnp.where(attends, averages, 0)


def attention_weights(
    query: Float[Array, "batch time heads head_dim"],
    key: Float[Array, "batch source heads head_dim"],
    *,
    mask: Mask | None = None,
) -> Float[jax.Array, "batch heads time source"]:
    """`softmax(query key^T / sqrt(head_dim))`: how much each query attends to each key.

    In float32 or wider. What a query may not attend to has the weight 0, and the weights of the
    others have the sum 1.

    Args:
        query: queries.
        key: keys.
        mask: true where a query may attend to a key; axes of length 1 are broadcast.

    Source: Vaswani et al. (2017), arXiv:1706.03762, equation 1.
    """
    query, key = jnp.asarray(query), jnp.asarray(key)
    wide = accumulation_dtype(query.dtype)
    scores = jnp.einsum("bthd,bshd->bhts", query, key, preferred_element_type=wide)
    scores = scores * query.shape[-1] ** -0.5
    if mask is None:
        return softmax(scores)
    # The lowest finite number, not -inf: a row of -inf has no softmax, and its gradient is NaN.
    scores = jnp.where(mask, scores, jnp.finfo(wide).min)
    return jnp.where(mask, softmax(scores), 0)
