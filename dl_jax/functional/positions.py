"""Where in a sequence a token stands, told to a network that sees all tokens at once."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def sinusoidal_positions(
    length: int, features: int, *, base: float = 10_000.0
) -> Float[Array, "{length} {features}"]:
    """A fixed code for each position, to be added to the embedding of the token there.

        code[t, 2 i]     = sin(t / base^(2 i / features))
        code[t, 2 i + 1] = cos(t / base^(2 i / features))

    Raises:
        ValueError: the number of features is odd.

    Source: Vaswani et al. (2017), arXiv:1706.03762, section 3.5.
    """
    angles = _angles(jnp.arange(length), features, base)  # [T, F / 2]
    return jnp.stack([jnp.sin(angles), jnp.cos(angles)], axis=-1).reshape(length, features)


def rotary_positions(
    x: Float[Array, "batch time heads head_dim"],
    positions: Int[Array, " time"],
    *,
    base: float = 10_000.0,
) -> Float[Array, "batch time heads head_dim"]:
    """Queries or keys turned by angles that grow with their position.

    Feature i and feature `i + head_dim / 2` are the coordinates of a point in a plane, which is
    turned by `t / base^(2 i / head_dim)`. The dot product of a query and a key then depends on the
    distance between their positions alone.

    Args:
        x: queries or keys.
        positions: of each time step; in generation, where steps come one by one, they do not start
            at 0.
        base: the larger, the slower the slowest plane turns.

    Raises:
        ValueError: `head_dim` is odd.

    Source: Su et al. (2021), arXiv:2104.09864, equation 34, with the halves paired as in GPT-NeoX.
    """
    angles = _angles(positions, x.shape[-1], base)[None, :, None, :]  # [1, T, 1, D / 2]
    cosine, sine = jnp.cos(angles), jnp.sin(angles)
    first, second = jnp.split(x.astype(jnp.promote_types(x.dtype, jnp.float32)), 2, axis=-1)
    turned = [first * cosine - second * sine, second * cosine + first * sine]
    return jnp.concatenate(turned, axis=-1).astype(x.dtype)


def _angles(
    positions: Int[Array, " time"], features: int, base: float
) -> Float[Array, "time half"]:
    if features % 2:
        raise ValueError(f"positions need an even number of features, got {features}")
    frequencies = base ** (-jnp.arange(0, features, 2) / features)
    return positions[:, None] * frequencies[None, :]
