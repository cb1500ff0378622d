"""From bytes to numbers of mean zero and deviation one."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8


def standardize(
    mean: Float[np.ndarray, " channels"], deviation: Float[np.ndarray, " channels"]
) -> Callable[[UInt8[Array, "... channels"]], Float[Array, "... channels"]]:
    """The function `(images / 255 - mean) / deviation`, channel by channel, in float32.

    Args:
        mean: of each channel, for images scaled to [0, 1].
        deviation: standard deviation of each channel, likewise.
    """
    scale = np.float32(1 / 255) / deviation
    offset = -mean / deviation

    def function(images: UInt8[Array, "... channels"]) -> Float[Array, "... channels"]:
        factors = jnp.broadcast_to(scale, images.shape)
        return images.astype(jnp.float32) * factors + jnp.broadcast_to(offset, images.shape)

    return function
