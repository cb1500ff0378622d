"""The lookup of vectors, a dense layer in disguise."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from dl_jax.backprop.op import Op


def embed() -> Op:
    """`y = E[i]`: a dense layer on one-hot vectors, without the zeros.

    dE[v] = sum of g over the places where i = v

    As in `dl_jax.functional.embed`, an index outside the vocabulary gives NaN.
    """

    def forward(
        indices: Int[Array, "..."], embedding: Float[Array, "vocabulary features"]
    ) -> tuple[Array, tuple[Array, Array]]:
        known = jnp.where(indices < 0, embedding.shape[0], indices)
        rows = jnp.take(embedding, known, axis=0, mode="fill", fill_value=jnp.nan)
        return rows, (known, jnp.zeros_like(embedding))

    def backward(
        residuals: tuple[Array, Array], g: Float[Array, "... features"]
    ) -> tuple[None, Array]:
        indices, zeros = residuals
        return None, zeros.at[indices].add(g, mode="drop")

    return Op(forward, backward, ("embedding",))
