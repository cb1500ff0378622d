"""Random changes to images that leave their labels true."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Shaped

from dl_jax.types import PRNGKey


def random_horizontal_flip(
    images: Shaped[Array, "batch height width channels"], *, key: PRNGKey
) -> Shaped[Array, "batch height width channels"]:
    """Each image mirrored left to right with probability one half."""
    flip = jax.random.bernoulli(key, shape=(images.shape[0], 1, 1, 1))
    return jnp.where(flip, images[:, :, ::-1], images)


def random_crop(
    images: Shaped[Array, "batch height width channels"], pixels: int, *, key: PRNGKey
) -> Shaped[Array, "batch height width channels"]:
    """Each image moved by up to `pixels` in height and in width, zeros coming in at the edge.

    Source: the crop-after-padding of He et al. (2015), arXiv:1512.03385, section 4.2.
    """
    batch, height, width, channels = images.shape
    padded = jnp.pad(images, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)))
    corners = jax.random.randint(key, (batch, 2), 0, 2 * pixels + 1)

    def crop(image: Array, corner: Array) -> Array:
        return jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), (height, width, channels))

    return jax.vmap(crop)(padded, corners)
