"""Attention: a product, a softmax and a product."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Bool, Float

from dl_jax.backprop.op import Op
from dl_jax.types import Array

Queries = Float[Array, "batch time heads head_dim"]
Keys = Float[Array, "batch source heads head_dim"]
Values = Float[Array, "batch source heads value_dim"]
Outputs = Float[Array, "batch time heads value_dim"]


def attention(mask: Bool[Array, "#batch #heads #time #source"] | None = None) -> Op:
    """`y = P v` with `P = softmax(s)`, `s = q k^T / sqrt(d)`, operands `(q, k, v)`.

        dv = P^T g        dP = g v^T        ds = P (dP - sum(dP P))
        dq = ds k / sqrt(d)        dk = ds^T q / sqrt(d)

    The sum is over the keys: it is the Jacobian of the softmax.

    Args:
        mask: true where a query may attend to a key; each query needs at least one.
    """

    def forward(query: Queries, key: Keys, value: Values) -> tuple[Outputs, Any]:
        scale = query.shape[-1] ** -0.5
        scores = jnp.einsum("bthd,bshd->bhts", query, key) * scale
        if mask is not None:
            scores = jnp.where(mask, scores, -jnp.inf)
        powers = jnp.exp(scores - scores.max(-1, keepdims=True))
        weights = powers / powers.sum(-1, keepdims=True)  # [B, H, T, S]
        y = jnp.einsum("bhts,bshd->bthd", weights, value)
        return y, (query, key, value, weights)

    def backward(residuals: Any, g: Outputs) -> tuple[Queries, Keys, Values]:
        query, key, value, weights = residuals
        dvalue = jnp.einsum("bhts,bthd->bshd", weights, g)
        dweights = jnp.einsum("bthd,bshd->bhts", g, value)
        dscores = weights * (dweights - (dweights * weights).sum(-1, keepdims=True))
        dscores = dscores * query.shape[-1] ** -0.5
        dquery = jnp.einsum("bhts,bshd->bthd", dscores, key)
        dkey = jnp.einsum("bhts,bthd->bshd", dscores, query)
        return dquery, dkey, dvalue

    return Op(forward, backward)
