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
    return jnp.take(embedding, indices, axis=0, mode="fill", fill_value=jnp.nan)
