"""Mixing images in pairs, and their targets with them."""

import jax
import jax.numpy as jnp
from jaxtyping import Float, Shaped

from dl_jax.concrete import check_concrete
from dl_jax.functional.augmentation import boxes_around, rounded
from dl_jax.types import Array, PRNGKey, Scalar


def mixup(
    images: Shaped[Array, "batch height width channels"],
    targets: Float[Array, "batch classes"],
    *,
    key: PRNGKey,
    alpha: Scalar = 1.0,
) -> tuple[Shaped[jax.Array, "batch height width channels"], Float[jax.Array, "batch classes"]]:
    """`share x + (1 - share) x'`, with another image `x'` of the batch, and targets likewise.

    Args:
        images: of a batch.
        targets: distributions over classes.
        key: random key.
        alpha: the share of each image is drawn from `Beta(alpha, alpha)`: small values hardly mix,
            at 1 any share is as likely as any other.

    Raises:
        UsageError: `alpha` is not positive.

    Source: Zhang et al. (2017), arXiv:1710.09412, equation 1.
    """
    share, partner = _draw(key, len(images), alpha)
    weight = share.reshape(-1, 1, 1, 1)
    x = jnp.asarray(images, jnp.float32)
    mixed = weight * x + (1 - weight) * x[partner]
    return rounded(mixed, images.dtype), _mixed_targets(targets, share, partner)


def cutmix(
    images: Shaped[Array, "batch height width channels"],
    targets: Float[Array, "batch classes"],
    *,
    key: PRNGKey,
    alpha: Scalar = 1.0,
) -> tuple[Shaped[jax.Array, "batch height width channels"], Float[jax.Array, "batch classes"]]:
    """Replace a box of each image by that of another; targets are mixed by the pixels of each.

    The box has the shape of the image and a random center; what is outside is cut off.

    Args:
        images: of a batch.
        targets: distributions over classes.
        key: random key.
        alpha: the share of the image that stays is drawn from `Beta(alpha, alpha)`.

    Raises:
        UsageError: `alpha` is not positive.

    Source: Yun et al. (2019), arXiv:1905.04899, equations 1 and 2.
    """
    draw_key, place_key = jax.random.split(key)
    share, partner = _draw(draw_key, len(images), alpha)
    height, width = images.shape[1:3]
    side = jnp.sqrt(1 - share)
    centers = jax.random.uniform(place_key, (len(images), 2)) * jnp.array([[height, width]])
    box = boxes_around(centers, height * side, width * side, height, width)
    x = jnp.asarray(images)
    kept = 1 - box.mean((1, 2, 3))
    return jnp.where(box, x[partner], x), _mixed_targets(targets, kept, partner)


def _draw(
    key: PRNGKey, batch: int, alpha: Scalar
) -> tuple[Float[jax.Array, " batch"], Shaped[jax.Array, " batch"]]:
    """For each image, how much of it stays, and which other it is mixed with."""
    check_concrete("alpha", alpha, low=0, exclusive_low=True)
    share_key, partner_key = jax.random.split(key)
    share = jax.random.beta(share_key, alpha, alpha, (batch,))
    return share, jax.random.permutation(partner_key, batch)


def _mixed_targets(
    targets: Float[Array, "batch classes"],
    share: Float[jax.Array, " batch"],
    partner: Shaped[jax.Array, " batch"],
) -> Float[jax.Array, "batch classes"]:
    weight, targets = share.reshape(-1, 1), jnp.asarray(targets)
    return weight * targets + (1 - weight) * targets[partner]
