"""What is known of a convolution before its numbers are."""

from typing import NamedTuple

import jax
from jaxtyping import Float

from dl_jax.functional.windows import Size

Image = Float[jax.Array, "batch height width in_channels"]
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
