"""The loss on a plane through trained parameters."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dl_jax.compilation import jit
from dl_jax.types import Array, Params, PRNGKey


def loss_plane(
    loss: Callable[[Params], Float[Array, ""]],
    params: Params,
    along: Float[np.ndarray, " points"],
    key: PRNGKey,
    *,
    batch_size: int = 1,
) -> Float[np.ndarray, "points points"]:
    """`loss(params + a u + b v)` for all `a` and `b` in `along`, with random directions u and v.

    In a direction each filter (of a dense layer, all weights of a unit) has the norm of the
    network's own, so that planes of different networks can be compared; biases and scales stay.

    Args:
        loss: of parameters, such as the mean over fixed examples.
        params: in the middle of the plane.
        along: positions; 1 is the norm of the parameters themselves.
        key: draws the directions.
        batch_size: points that are computed side by side; one at a time where a network has
            convolutions.

    Returns:
        Rows follow `b`, columns `a`.

    Source: Li et al. (2018), arXiv:1712.09913, section 4.
    """
    u, v = (filter_normalized(each, params) for each in jax.random.split(key))

    @jit
    def losses(places: Float[Array, "batch 2"]) -> Float[Array, " batch"]:
        def at(place: Float[Array, "2"]) -> Float[Array, ""]:
            a, b = place
            return loss(jax.tree.map(lambda p, u, v: p + a * u + b * v, params, u, v))

        return at(places[0])[None] if batch_size == 1 else jax.vmap(at)(places)

    places = np.stack(np.meshgrid(along, along), -1).reshape(-1, 2)
    padded = np.pad(places, ((0, -len(places) % batch_size), (0, 0)))
    found = [losses(padded[i : i + batch_size]) for i in range(0, len(padded), batch_size)]
    return np.concatenate(found)[: len(places)].reshape(len(along), len(along))


def filter_normalized(key: PRNGKey, params: Params) -> Params:
    """A random direction in which each filter has the norm of that of `params`; others stay."""

    def direction(key: PRNGKey, leaf: Array) -> jax.Array:
        if leaf.ndim < 2:
            return jnp.zeros_like(leaf)
        axes = tuple(range(leaf.ndim - 1))
        drawn = jax.random.normal(key, leaf.shape)
        norm, drawn_norm = (jnp.sqrt((x**2).sum(axes, keepdims=True)) for x in (leaf, drawn))
        return drawn * norm / drawn_norm

    structure = jax.tree.structure(params)
    keys = jax.tree.unflatten(structure, list(jax.random.split(key, structure.num_leaves)))
    return jax.tree.map(direction, keys, params)
