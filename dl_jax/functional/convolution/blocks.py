"""A 4x4 convolution of stride 2 as one of 2x2 and stride 1 on blocks of 2x2 pixels.

Networks that generate images consist of such convolutions. A padded image of `[2 h, 2 w, channels]`
is one of `[h, w, 4 channels]` whose pixels are its blocks (space to depth), and so is the kernel.
"""

import jax
from jax import lax
from jaxtyping import Float

from dl_jax.functional.convolution.spec import ConvSpec, Image, Kernel, Output

MAX_CHANNELS = 64
"""As measured in whole networks: docs/decisions/0008-games.md."""
Blocks = Float[jax.Array, "batch rows columns block_channels"]
KernelBlocks = Float[jax.Array, "2 2 block_channels out_channels"]


def halves(spec: ConvSpec) -> bool:
    """Whether it is a 4x4 convolution of stride 2 whose padded image consists of 2x2 blocks."""
    return (
        (spec.kernel, spec.stride, spec.dilation, spec.groups) == ((4, 4), (2, 2), (1, 1), 1)
        and all(size % 2 == 0 for size in spec.padded)
        and min(p for pad in spec.padding for p in pad) >= 0
    )


def has_fast_blocks(spec: ConvSpec, channels: int) -> bool:
    """Whether the gradient of the image is faster as that of an image of blocks.

    There the routine multiplies none of the zeros that a stride leaves between the numbers of a
    cotangent, three for each.
    """
    return halves(spec) and channels <= MAX_CHANNELS


def convolve_blocks(spec: ConvSpec, x: Image, w: Kernel) -> Output:
    """The convolution, by a routine of the image's blocks."""
    return lax.conv_general_dilated(
        image_blocks(spec, x),
        kernel_blocks(w),
        window_strides=(1, 1),
        padding="VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def image_blocks(spec: ConvSpec, x: Image) -> Blocks:
    """The blocks of the padded image, one more than outputs along each axis."""
    batch, height, width, channels = (x := spec.pad(x)).shape
    blocks = x.reshape(batch, height // 2, 2, width // 2, 2, channels).swapaxes(2, 3)
    return blocks.reshape(batch, height // 2, width // 2, 4 * channels)


def image_of_blocks(spec: ConvSpec, blocks: Blocks) -> Image:
    """The image whose blocks they are, without its padding."""
    batch, rows, columns, channels = blocks.shape
    x = blocks.reshape(batch, rows, columns, 2, 2, channels // 4).swapaxes(2, 3)
    return spec.unpad(x.reshape(batch, 2 * rows, 2 * columns, channels // 4))


def kernel_blocks(w: Kernel) -> KernelBlocks:
    """The kernel of the blocks."""
    w = w.reshape(2, 2, 2, 2, *w.shape[2:]).swapaxes(1, 2)
    return w.reshape(2, 2, -1, w.shape[-1])


def kernel_of_blocks(blocks: KernelBlocks) -> Kernel:
    """The inverse of `kernel_blocks`."""
    channels, out_channels = blocks.shape[2] // 4, blocks.shape[3]
    w = blocks.reshape(2, 2, 2, 2, channels, out_channels).swapaxes(1, 2)
    return w.reshape(4, 4, channels, out_channels)
