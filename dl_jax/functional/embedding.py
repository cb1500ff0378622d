"""Vectors looked up by index."""

import jax
import jax.numpy as jnp
from jaxtyping import Float, Integer

from dl_jax.functional.indexing import without_wraparound
from dl_jax.functional.precision import at_least_float32
from dl_jax.types import Array


def embed(
    indices: Integer[Array, "..."], embedding: Float[Array, "vocabulary features"]
) -> Float[jax.Array, "... features"]:
    """Row `embedding[i]` for each index `i`; NaN where an index is outside the vocabulary.

    Compiled code cannot raise an error: a row of NaN makes a wrong index visible in the loss.

    Source: Bengio et al. (2003), "A neural probabilistic language model", section 2.
    """
    embedding, known = jnp.asarray(embedding), without_wraparound(indices, embedding.shape[0])
    # The gradient of a row is a sum over its uses, which stops growing early in 16 bits.
    wide = at_least_float32(embedding)
    rows = jnp.take(wide, known, axis=0, mode="fill", fill_value=jnp.nan)
    return rows.astype(embedding.dtype)
