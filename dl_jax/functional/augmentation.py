"""Random transformations of images that keep their labels."""

import jax
import jax.numpy as jnp
from jaxtyping import Shaped

from dl_jax.errors import check_integer
from dl_jax.types import Array, Count, PRNGKey


def random_horizontal_flip(
    images: Shaped[Array, "batch height width channels"], *, key: PRNGKey
) -> Shaped[jax.Array, "batch height width channels"]:
    """Flip each image left to right with probability one half."""
    flip = jax.random.bernoulli(key, shape=(images.shape[0], 1, 1, 1))
    return jnp.where(flip, images[:, :, ::-1], images)


def random_crop(
    images: Shaped[Array, "batch height width channels"], pixels: Count, *, key: PRNGKey
) -> Shaped[jax.Array, "batch height width channels"]:
    """A random crop of each image, of its own size, after padding all sides with `pixels` zeros.

    Raises:
        UsageError: `pixels` is negative.

    Source: He et al. (2015), arXiv:1512.03385, section 4.2.
    """
    pixels = int(pixels)
    check_integer("pixels", pixels, low=0)
    batch, height, width, channels = images.shape
    padded = jnp.pad(images, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)))
    corners = jax.random.randint(key, (batch, 2), 0, 2 * pixels + 1)

    def crop(image: jax.Array, corner: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), (height, width, channels))

    return jax.vmap(crop)(padded, corners)
