"""What is known of a convolution before its numbers are."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from dl_jax.functional.windows import Size

Image = Float[jax.Array, "batch height width in_channels"]
Padded = Float[jax.Array, "batch padded_height padded_width in_channels"]
Kernel = Float[jax.Array, "kernel_height kernel_width in_per_group out_channels"]
Output = Float[jax.Array, "batch out_height out_width out_channels"]


class ConvSpec(NamedTuple):
    """Static properties of a convolution; `image` and `kernel` are sizes in pixels, unpadded."""

    image: Size
    kernel: Size
    stride: Size
    padding: tuple[Size, Size]
    dilation: Size
    groups: int

    @property
    def padded(self) -> Size:
        """The size of the padded image in pixels."""
        (height, width), (rows, columns) = self.image, self.padding
        return height + sum(rows), width + sum(columns)

    def pad(self, x: Image) -> Padded:
        """The padded image."""
        return jnp.pad(x, ((0, 0), *self.padding, (0, 0)))

    def unpad(self, x: Padded) -> Image:
        """The image without its padding, and without what follows that."""
        (top, _), (left, _) = self.padding
        return x[:, top : top + self.image[0], left : left + self.image[1]]
