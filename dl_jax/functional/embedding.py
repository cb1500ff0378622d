"""Vectors looked up by index."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def embed(
    indices: Int[Array, "..."], embedding: Float[Array, "vocabulary features"]
) -> Float[Array, "... features"]:
    """Row `embedding[i]` for each index `i`; NaN where an index lies outside the vocabulary.

    A traced program cannot raise an error: rows of NaN are what makes a wrong index be noticed.

    Source: Bengio et al. (2003), "A neural probabilistic language model", section 2.
    """
    known = jnp.where(indices < 0, embedding.shape[0], indices)  # -1 is not the last row
    # The gradient of a row is a sum over its uses, which 16 bits would soon leave standing still.
    wide = embedding.astype(jnp.promote_types(embedding.dtype, jnp.float32))
    rows = jnp.take(wide, known, axis=0, mode="fill", fill_value=jnp.nan)
    return rows.astype(embedding.dtype)
