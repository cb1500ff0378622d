"""Examples with parts destroyed, for networks that learn to restore them.

Each function takes one random key and examples `[batch, ...]`, and destroys each by its own draw.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from dl_jax.concrete import check_concrete
from dl_jax.errors import UsageError, check_integer
from dl_jax.types import Array, Count, PRNGKey, Scalar


def gaussian_noise(
    x: Float[Array, "batch ..."], std: Scalar = 0.5, *, key: PRNGKey
) -> Float[jax.Array, "batch ..."]:
    """`x` plus normal noise of this standard deviation in each element.

    Raises:
        UsageError: a concrete `std` is negative.

    Source: Vincent et al. (2010), "Stacked denoising autoencoders", section 3.3.
    """
    check_concrete("std", std, low=0)
    x = jnp.asarray(x)
    return x + (std * jax.random.normal(key, x.shape)).astype(x.dtype)


def masking_noise(
    x: Float[Array, "batch ..."], rate: Scalar = 0.3, *, key: PRNGKey
) -> Float[jax.Array, "batch ..."]:
    """`x` with each element set to zero with probability `rate`.

    Raises:
        UsageError: a concrete `rate` is outside [0, 1].

    Source: Vincent et al. (2010), "Stacked denoising autoencoders", section 3.3.
    """
    check_concrete("rate", rate, low=0, high=1)
    x = jnp.asarray(x)
    return jnp.where(jax.random.uniform(key, x.shape) < rate, 0, x)


def salt_and_pepper(
    x: Float[Array, "batch ..."],
    rate: Scalar = 0.3,
    *,
    key: PRNGKey,
    low: Scalar = 0.0,
    high: Scalar = 1.0,
) -> Float[jax.Array, "batch ..."]:
    """`x` with each element, with probability `rate`, set to `low` or to `high`, one as likely.

    Raises:
        UsageError: a concrete `rate` is outside [0, 1].

    Source: Vincent et al. (2010), "Stacked denoising autoencoders", section 3.3.
    """
    check_concrete("rate", rate, low=0, high=1)
    x = jnp.asarray(x)
    draw = jax.random.uniform(key, x.shape)
    extreme = jnp.where(draw < rate / 2, low, high).astype(x.dtype)
    return jnp.where(draw < rate, extreme, x)


def hide_patches(
    images: Float[Array, "batch height width channels"],
    size: Count,
    share: Scalar = 0.5,
    *,
    key: PRNGKey,
) -> tuple[
    Float[jax.Array, "batch height width channels"], Bool[jax.Array, "batch height width channels"]
]:
    """Images with square patches set to zero, and which pixels are hidden.

    An image is cut into a grid of patches; of each image as many are hidden, at random.

    Args:
        images: floats.
        size: side of a patch, in pixels.
        share: of the patches that are hidden, rounded to a whole number of them, at least one.
        key: random key.

    Raises:
        UsageError: patches do not divide the images, or a concrete share is outside (0, 1].

    Source: He et al. (2021), arXiv:2111.06377, section 3.
    """
    images, size = jnp.asarray(images), int(size)
    check_integer("size", size, low=1)
    check_concrete("share", share, low=0, high=1, exclusive_low=True)
    batch, height, width, _ = images.shape
    if height % size or width % size:
        raise UsageError(
            f"patches of {size}x{size} pixels do not divide images of {height}x{width}: choose a "
            "size that divides both"
        )
    grid = height // size, width // size
    count = jnp.maximum(jnp.round(share * grid[0] * grid[1]), 1)
    draws = jax.random.uniform(key, (batch, grid[0] * grid[1]))
    ranks = draws.argsort(-1).argsort(-1)
    hidden = (ranks < count).reshape(batch, *grid)
    hidden = hidden.repeat(size, axis=1).repeat(size, axis=2)[..., None]
    hidden = jnp.broadcast_to(hidden, images.shape)
    return jnp.where(hidden, 0, images), hidden
