"""A convolution of 2x2 on blocks by nine products of matrices in place of sixteen.

Along one axis, a kernel `(k0, k1)` makes of three blocks `(d0, d1, d2)` two outputs

    y0 = d0 k0 + d1 k1 = (d0 - d1) k0 + d1 (k0 + k1)
    y1 = d1 k0 + d2 k1 =                d1 (k0 + k1) + (d2 - d1) k1

by three products in place of four, and along both axes by nine in place of sixteen. So a tile of
3x3 blocks, the kernel and a tile of 2x2 outputs have nine parts each:

    of blocks     d0 - d1, d1, d2 - d1      along one axis, then along the other
    of a kernel   k0, k0 + k1, k1
    of outputs    g0, g0 + g1, g1

and `<conv(x, w), g>` is the sum, over the nine, of part of `x` times part of `w` times part of `g`.
Each of its derivatives takes the parts of two, nine products of matrices `[tiles, channels]`, and
puts the third together by the transpose of what takes it apart.

Sums of differences round off a little more than the convolution itself, some times 1e-6 in float32
and too much in narrower types.

Source: Winograd (1980), "Arithmetic complexity of computations"; Lavin and Gray (2015),
arXiv:1509.09308.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float

from dl_jax.functional.convolution.blocks import (
    halves,
    image_blocks,
    image_of_blocks,
    kernel_blocks,
    kernel_of_blocks,
)
from dl_jax.functional.convolution.spec import ConvSpec, Image, Kernel, Output
from dl_jax.functional.precision import accumulation_dtype
from dl_jax.functional.windows import Size

MIN_CHANNELS = 64
"""With fewer, the parts cost more than the products save: docs/decisions/0008-games.md."""
Parts = list[Float[jax.Array, "tiles channels"]]
"""Nine matrices: three along the rows of a tile, times three along its columns."""
KernelParts = list[Float[jax.Array, "channels out_channels"]]


def has_fast_tiles(spec: ConvSpec, channels: int, dtype: jnp.dtype) -> bool:
    """Whether all three maps are faster by tiles, and exact enough."""
    return halves(spec) and channels >= MIN_CHANNELS and accumulation_dtype(dtype) == dtype


def convolve_tiles(spec: ConvSpec, x: Image, w: Kernel) -> Output:
    """The convolution."""
    products = [a @ b for a, b in zip(_image_parts(spec, x), _kernel_parts(w), strict=True)]
    down, across = _tiles(spec)
    corners = [y.reshape(-1, down, across, w.shape[-1]) for y in _from_sums(products)]
    rows = [jnp.stack(corners[i : i + 2], axis=3) for i in (0, 2)]
    y = jnp.stack(rows, axis=2).reshape(-1, 2 * down, 2 * across, w.shape[-1])
    height, width = _outputs(spec)
    return y[:, :height, :width]


def input_gradient_tiles(spec: ConvSpec, g: Output, w: Kernel) -> Image:
    """Its derivative with respect to the image, applied to `g`."""
    products = [a @ b.T for a, b in zip(_output_parts(spec, g), _kernel_parts(w), strict=True)]
    down, across = _tiles(spec)
    parts = [part.reshape(-1, down, across, part.shape[-1]) for part in products]
    rows = [_from_differences(parts[i : i + 3], axis=2) for i in (0, 3, 6)]
    blocks = _from_differences(rows, axis=1)
    height, width = _outputs(spec)
    return image_of_blocks(spec, blocks[:, : height + 1, : width + 1])


def kernel_gradient_tiles(spec: ConvSpec, x: Image, g: Output) -> Kernel:
    """Its derivative with respect to the kernel, applied to `g`."""
    products = [a.T @ b for a, b in zip(_image_parts(spec, x), _output_parts(spec, g), strict=True)]
    taps = jnp.stack(_from_sums(products))
    return kernel_of_blocks(taps.reshape(2, 2, *taps.shape[1:]))


def _outputs(spec: ConvSpec) -> Size:
    """Outputs along each axis."""
    height, width = spec.padded
    return height // 2 - 1, width // 2 - 1


def _tiles(spec: ConvSpec) -> Size:
    """Tiles of two outputs along each axis; the last may have one."""
    height, width = _outputs(spec)
    return -(-height // 2), -(-width // 2)


def _image_parts(spec: ConvSpec, x: Image) -> Parts:
    blocks = _enlarged(image_blocks(spec, x), *(2 * tiles + 1 for tiles in _tiles(spec)))
    return [
        part.reshape(-1, part.shape[-1])
        for rows in _differences(blocks, axis=1)
        for part in _differences(rows, axis=2)
    ]


def _kernel_parts(w: Kernel) -> KernelParts:
    blocks = kernel_blocks(w)
    return [part for row in _sums(*blocks) for part in _sums(*row)]


def _output_parts(spec: ConvSpec, g: Output) -> Parts:
    (down, across), channels = _tiles(spec), g.shape[-1]
    g = _enlarged(g, 2 * down, 2 * across).reshape(-1, down, 2, across, 2, channels)
    return [
        part.reshape(-1, channels)
        for row in _sums(g[:, :, 0], g[:, :, 1])
        for part in _sums(row[:, :, :, 0], row[:, :, :, 1])
    ]


def _enlarged(x: jax.Array, height: int, width: int) -> jax.Array:
    """An image of so many pixels, with rows and columns of zeros at the end."""
    return jnp.pad(x, ((0, 0), (0, height - x.shape[1]), (0, width - x.shape[2]), (0, 0)))


def _differences(blocks: jax.Array, axis: int) -> list[jax.Array]:
    """Parts of tiles of three blocks along one axis; neighboring tiles share a block."""
    last = blocks.shape[axis] - 1
    d0, d1, d2 = (lax.slice_in_dim(blocks, i, last - 1 + i, 2, axis) for i in range(3))
    return [d0 - d1, d1, d2 - d1]


def _from_differences(parts: Sequence[jax.Array], axis: int) -> jax.Array:
    """The transpose of `_differences`, with a block of nothing at the end."""
    p0, p1, p2 = parts

    def among(part: jax.Array, before: int, after: int) -> jax.Array:
        pads = [(0, 0)] * part.ndim
        pads[axis] = before, after
        return jnp.pad(part, pads)

    even = among(p0, 0, 1) + among(p2, 1, 0)  # an inner one is the last of a tile, and a first
    odd = among(p1 - p0 - p2, 0, 1)
    blocks = jnp.stack([even, odd], axis + 1)
    return blocks.reshape(*even.shape[:axis], -1, *even.shape[axis + 1 :])


def _sums(a: jax.Array, b: jax.Array) -> list[jax.Array]:
    """Parts of a pair."""
    return [a, a + b, b]


def _from_sums(parts: Sequence[jax.Array]) -> list[jax.Array]:
    """The transpose of `_sums` along both axes: the four of a tile, row by row."""
    rows = [[p0 + p1, p1 + p2] for p0, p1, p2 in (parts[i : i + 3] for i in (0, 3, 6))]
    return [a + b for a, b in zip(rows[0] + rows[1], rows[1] + rows[2], strict=True)]
