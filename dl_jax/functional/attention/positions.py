"""Positional encodings."""

from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Float, Integer

from dl_jax.functional.precision import at_least_float32
from dl_jax.types import Array, Count

Positions: TypeAlias = Integer[Array, " time"] | Integer[Array, "batch time"]
"""Positions of the steps of sequences: the same in all of them, or a row for each."""


def sinusoidal_positions(
    length: Count, features: Count, *, base: float = 10_000.0
) -> Float[jax.Array, "{length} {features}"]:
    """A fixed encoding of each position, to be added to the embedding of the token there.

        code[t, 2 i]     = sin(t / base^(2 i / features))
        code[t, 2 i + 1] = cos(t / base^(2 i / features))

    Raises:
        ValueError: the number of features is odd.

    Source: Vaswani et al. (2017), arXiv:1706.03762, section 3.5.
    """
    angles = _angles(jnp.arange(length)[None], features, base)[0]  # [T, F / 2]
    return jnp.stack([jnp.sin(angles), jnp.cos(angles)], axis=-1).reshape(length, features)


def rotary_positions(
    x: Float[Array, "batch time heads head_dim"],
    positions: Positions,
    *,
    base: float = 10_000.0,
) -> Float[jax.Array, "batch time heads head_dim"]:
    """Queries or keys rotated by angles proportional to their positions.

    Features `i` and `i + head_dim / 2` are the coordinates of a point in a plane, which is rotated
    by the angle `t / base^(2 i / head_dim)`. The dot product of a query and a key then depends on
    their positions only through the difference.

    Args:
        x: queries or keys.
        positions: of the time steps: `[time]` for all sequences, or `[batch, time]`.
        base: a larger one makes the rotation of the later planes slower.

    Raises:
        ValueError: `head_dim` is odd.

    Source: Su et al. (2021), arXiv:2104.09864, equation 34, with the halves paired as in GPT-NeoX.
    """
    x = jnp.asarray(x)
    rows = jnp.atleast_2d(jnp.asarray(positions))  # [B, T] or [1, T]
    angles = _angles(rows, x.shape[-1], base)[:, :, None]  # [B, T, 1, D / 2]
    cosine, sine = jnp.cos(angles), jnp.sin(angles)
    first, second = jnp.split(at_least_float32(x), 2, axis=-1)
    rotated = [first * cosine - second * sine, second * cosine + first * sine]
    return jnp.concatenate(rotated, axis=-1).astype(x.dtype)


def _angles(
    positions: Integer[jax.Array, "rows time"], features: Count, base: float
) -> Float[jax.Array, "rows time half"]:
    if features % 2:
        raise ValueError(f"positional encodings need an even number of features, got {features}")
    frequencies = base ** (-jnp.arange(0, features, 2) / features)
    return positions[:, :, None] * frequencies[None, None, :]
