"""Masks for attention: causal and padding. They are combined with `&`."""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Integer

from dl_jax.types import Array, Count

Mask = Bool[Array, "#batch #heads #time #source"]
"""True where a query may attend to a key; axes of length 1 are broadcast."""


def causal_mask(time: Count, source: Count | None = None) -> Bool[jax.Array, "1 1 {time} source"]:
    """True where a position may attend: to itself and to those before it.

    The queries are the last `time` of `source` positions, so that the last query sees every key:
    query i sees key j where `j <= i + source - time`.

    Masks are combined with `&`: `causal_mask(8) & padding_mask(lengths, 8)`.

    Args:
        time: number of queries.
        source: number of keys; as many as queries where None.

    Raises:
        ValueError: there are fewer keys than queries.

    Source: Vaswani et al. (2017), arXiv:1706.03762, section 3.2.3.
    """
    source = time if source is None else source
    check_causal(time, source)
    return jnp.tril(jnp.ones((time, source), bool), source - time)[None, None]


def check_causal(time: Count, source: Count) -> None:
    """Raise unless every query has a key at its own position.

    Raises:
        ValueError: there are fewer keys than queries.
    """
    if source < time:
        raise ValueError(
            f"source is {source}, expected at least time ({time}): each query has a key at its own "
            "position"
        )


def padding_mask(
    lengths: Integer[Array, " batch"], max_length: Count
) -> Bool[jax.Array, "batch 1 1 {max_length}"]:
    """True at the first `lengths[b]` positions of sequence b; the others are padding."""
    return (jnp.arange(max_length)[None, :] < jnp.asarray(lengths)[:, None])[:, None, None, :]
