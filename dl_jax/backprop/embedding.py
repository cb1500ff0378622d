"""Lookup of vectors: a dense layer on one-hot inputs."""

import jax
import jax.numpy as jnp
from jaxtyping import Float, Integer

from dl_jax.backprop.op import Op
from dl_jax.functional.indexing import without_wraparound
from dl_jax.types import Array


def embed() -> Op:
    """`y = E[i]`: a dense layer on one-hot vectors that does not multiply by the zeros.

    dE[v] = sum of g over the places where i = v

    As in `dl_jax.functional.embed`, an index outside the vocabulary gives NaN.
    """

    def forward(
        indices: Integer[Array, "..."], embedding: Float[Array, "vocabulary features"]
    ) -> tuple[Array, tuple[Array, Array]]:
        known = without_wraparound(indices, embedding.shape[0])
        rows = jnp.take(embedding, known, axis=0, mode="fill", fill_value=jnp.nan)
        return rows, (known, jnp.zeros_like(embedding))

    def backward(
        residuals: tuple[jax.Array, jax.Array], g: Float[Array, "... features"]
    ) -> tuple[None, Array]:
        indices, zeros = residuals
        return None, zeros.at[indices].add(g, mode="drop")

    return Op(forward, backward, ("embedding",))
