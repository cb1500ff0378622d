"""Random transformations of images that keep their labels, each image by its own draw.

Images are of any type, uint8 among them; the result has theirs.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int, Shaped

from dl_jax.concrete import check_concrete
from dl_jax.errors import UsageError, check_choice, check_integer
from dl_jax.types import Array, Count, PRNGKey, Scalar

LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in what the eye takes for brightness: ITU-R BT.601."""


def random_horizontal_flip(
    images: Shaped[Array, "batch height width channels"], *, key: PRNGKey
) -> Shaped[jax.Array, "batch height width channels"]:
    """Flip each image left to right with probability one half."""
    flip = jax.random.bernoulli(key, shape=(images.shape[0], 1, 1, 1))
    return jnp.where(flip, images[:, :, ::-1], images)


def alternating_flip(
    images: Shaped[Array, "batch height width channels"],
    index: Int[Array, " batch"],
    epoch: Int[Array, " batch"],
    *,
    seed: Count = 0,
) -> Shaped[jax.Array, "batch height width channels"]:
    """Flip each image left to right in every other epoch; which half begins is random.

    In two epochs each image is seen once either way, where random flips show one way twice to half
    of them.

    Args:
        images: of a batch.
        index: of each image in the dataset.
        epoch: in which each is seen.
        seed: chooses the images that begin flipped.

    Source: Jordan (2024), arXiv:2404.00498, section 3.6.
    """
    key = jax.random.key(int(seed))

    def begins_flipped(index: jax.Array) -> jax.Array:
        return jax.random.bernoulli(jax.random.fold_in(key, index))

    flip = jax.vmap(begins_flipped)(jnp.asarray(index)) ^ (jnp.asarray(epoch) % 2 == 1)
    return jnp.where(flip.reshape(-1, 1, 1, 1), images[:, :, ::-1], images)


def random_crop(
    images: Shaped[Array, "batch height width channels"],
    pixels: Count,
    *,
    key: PRNGKey,
    padding: Literal["zeros", "reflect"] = "zeros",
) -> Shaped[jax.Array, "batch height width channels"]:
    """A random crop of each image, of its own size, after padding all sides with `pixels` pixels.

    Args:
        images: of a batch.
        pixels: padded on each side, and so the largest shift.
        key: random key.
        padding: zeros, or the image reflected at its border.

    Raises:
        UsageError: `pixels` is negative, or with `reflect` not less than a side of the images.

    Source: He et al. (2015), arXiv:1512.03385, section 4.2.
    """
    pixels = int(pixels)
    check_integer("pixels", pixels, low=0)
    check_choice("padding", padding, ("zeros", "reflect"))
    batch, height, width, channels = images.shape
    if padding == "reflect" and pixels >= min(height, width):
        raise UsageError(
            f"pixels is {pixels}, expected less than the sides of images of {height}x{width} to "
            "reflect them"
        )
    mode = "constant" if padding == "zeros" else "reflect"
    padded = jnp.pad(images, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)), mode)
    corners = jax.random.randint(key, (batch, 2), 0, 2 * pixels + 1)

    def crop(image: jax.Array, corner: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), (height, width, channels))

    return jax.vmap(crop)(padded, corners)


def cutout(
    images: Shaped[Array, "batch height width channels"],
    size: Count,
    *,
    key: PRNGKey,
    fill: Scalar = 0,
) -> Shaped[jax.Array, "batch height width channels"]:
    """Fill a square of each image, centered at a random pixel; what is outside is cut off.

    Args:
        images: of a batch.
        size: side of the square, in pixels.
        key: random key.
        fill: value of its pixels.

    Raises:
        UsageError: `size` is negative.

    Source: DeVries and Taylor (2017), arXiv:1708.04552, section 3.2.
    """
    size = int(size)
    check_integer("size", size, low=0)
    height, width = images.shape[1:3]
    inside = boxes_around(_random_pixels(key, images.shape), size, size, height, width)
    return jnp.where(inside, jnp.asarray(fill, images.dtype), images)


def color_jitter(
    images: Shaped[Array, "batch height width channels"],
    *,
    key: PRNGKey,
    brightness: Scalar = 0.0,
    contrast: Scalar = 0.0,
    saturation: Scalar = 0.0,
) -> Shaped[jax.Array, "batch height width channels"]:
    """Change brightness, contrast and saturation of each image by random factors, in this order.

    Each factor is uniform in `[1 - strength, 1 + strength]`. Brightness scales the pixels, contrast
    their distance from the image's mean luminance, saturation their distance from their own
    luminance; after each, values are cut to the range of the type.

    Args:
        images: uint8, or floats in [0, 1]; saturation does not change images of one channel.
        key: random key.
        brightness: strength, in [0, 1].
        contrast: strength, in [0, 1].
        saturation: strength, in [0, 1].

    Raises:
        UsageError: a strength is out of range.

    Source: Howard (2013), arXiv:1312.5402, section 2.2.
    """
    strengths = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
    for name, strength in strengths.items():
        check_concrete(name, strength, low=0, high=1)
    top = jnp.iinfo(images.dtype).max if jnp.issubdtype(images.dtype, jnp.integer) else 1.0
    x = jnp.asarray(images, jnp.float32)
    b, c, s = (
        1 + strength * jax.random.uniform(own, (len(images), 1, 1, 1), minval=-1, maxval=1)
        for own, strength in zip(jax.random.split(key, 3), strengths.values(), strict=True)
    )
    x = jnp.clip(b * x, 0, top)
    mean = luminance(x).mean((1, 2), keepdims=True)
    x = jnp.clip(mean + c * (x - mean), 0, top)
    gray = luminance(x)
    return rounded(jnp.clip(gray + s * (x - gray), 0, top), images.dtype)


def luminance(
    images: Float[Array, "batch height width channels"],
) -> Float[jax.Array, "batch height width 1"]:
    """Brightness of each pixel: a weighted mean of red, green and blue; else the plain mean."""
    channels = images.shape[-1]
    weights = jnp.array(LUMINANCE) if channels == 3 else jnp.full(channels, 1 / channels)
    return (images * weights.reshape(1, 1, 1, -1)).sum(-1, keepdims=True)


def boxes_around(
    centers: Float[Array, "batch 2"],
    heights: Scalar | Float[Array, " batch"],
    widths: Scalar | Float[Array, " batch"],
    height: Count,
    width: Count,
) -> Shaped[jax.Array, "batch height width 1"]:
    """Which pixels lie in a box of the given height and width around each center."""

    def within(length: Count, middle: jax.Array, size: jax.Array) -> jax.Array:
        first = jnp.round(middle - size / 2).reshape(-1, 1)
        place = jnp.arange(length).reshape(1, -1)
        return (place >= first) & (place < first + jnp.round(size).reshape(-1, 1))

    centers = jnp.asarray(centers)
    rows = within(height, centers[:, 0], jnp.asarray(heights, jnp.float32))
    columns = within(width, centers[:, 1], jnp.asarray(widths, jnp.float32))
    return (rows[:, :, None] & columns[:, None, :])[..., None]


def _random_pixels(key: PRNGKey, shape: tuple[int, ...]) -> Float[jax.Array, "batch 2"]:
    """A pixel of each image, `(row, column)`."""
    batch, height, width, _ = shape
    return jnp.floor(jax.random.uniform(key, (batch, 2)) * jnp.array([[height, width]]))


def rounded(x: Float[jax.Array, "*shape"], dtype: jnp.dtype) -> Shaped[jax.Array, "*shape"]:
    """`x` in another type, to the nearest integer if it is one."""
    return (jnp.round(x) if jnp.issubdtype(dtype, jnp.integer) else x).astype(dtype)
