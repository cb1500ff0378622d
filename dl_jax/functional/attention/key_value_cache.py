"""A cache of keys and values: what a token that is generated attends to is computed once."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Bool, Float, Integer

from dl_jax.functional.indexing import without_wraparound
from dl_jax.types import Array, Count


class KeyValueCache(NamedTuple):
    """Keys and values of one attention layer; entry p is of the token at position p.

    Rows are sequences, so that beam search can reorder them: `jax.tree.map(lambda x: x[rows], c)`.
    """

    key: Float[Array, "batch source heads head_dim"]
    value: Float[Array, "batch source heads value_dim"]


def empty_cache(
    batch_size: Count,
    max_length: Count,
    num_heads: Count,
    head_dim: Count,
    dtype: DTypeLike = jnp.float32,
) -> KeyValueCache:
    """A cache of zeros with room for the positions from 0 to `max_length - 1`."""
    shape = (batch_size, max_length, num_heads, head_dim)
    return KeyValueCache(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))  # not one, donated twice


def write(
    cache: KeyValueCache,
    keys: Float[jax.Array, "batch time heads head_dim"],
    values: Float[jax.Array, "batch time heads value_dim"],
    positions: Integer[jax.Array, "batch time"],
) -> KeyValueCache:
    """The cache with the entries at `positions` replaced; a position outside it is dropped.

    The positions of a row are distinct. Entries keep the type of the cache.

    Raises:
        ValueError: the cache is for another batch, number of heads or head size.
    """
    _check_fits("key", cache.key, keys)
    _check_fits("value", cache.value, values)

    def replaced(entries: Array, new: jax.Array) -> jax.Array:
        entries = jnp.asarray(entries)
        columns = without_wraparound(positions, entries.shape[1])
        rows = jnp.arange(entries.shape[0])[:, None]
        return entries.at[rows, columns].set(new.astype(entries.dtype), mode="drop")

    return KeyValueCache(replaced(cache.key, keys), replaced(cache.value, values))


def visible(
    cache: KeyValueCache, positions: Integer[jax.Array, "batch time"]
) -> Bool[jax.Array, "batch 1 time source"]:
    """True at the entries that a query may attend to: those up to its own position."""
    entries = jnp.arange(cache.key.shape[1])[None, None, None, :]
    return entries <= positions[:, None, :, None]


def _check_fits(name: str, entries: Array, new: jax.Array) -> None:
    batch, _, *rest = new.shape
    if entries.ndim != 4 or [entries.shape[0], *entries.shape[2:]] != [batch, *rest]:
        raise ValueError(
            f"cache.{name} has shape {entries.shape}, expected ({batch}, length, {rest[0]}, "
            f"{rest[1]}): make it with empty_cache({batch}, length, {rest[0]}, {rest[1]})"
        )
