"""Convolutions by fewer products than they are sums of: Winograd's minimal filtering.

Along one axis, a kernel `(k0, k1)` makes of three pixels `(d0, d1, d2)` two outputs

    y0 = d0 k0 + d1 k1 = (d0 - d1) k0 + d1 (k0 + k1)
    y1 = d1 k0 + d2 k1 =                d1 (k0 + k1) + (d2 - d1) k1

by three products in place of four, and along both axes by nine in place of sixteen. So a tile of
3x3 pixels, the kernel and a tile of 2x2 outputs `g` have nine parts each:

    of pixels     d0 - d1, d1, d2 - d1      along one axis, then along the other
    of a kernel   k0, k0 + k1, k1
    of outputs    g0, g0 + g1, g1

and `<conv(x, w), g>` is the sum, over the nine, of part of `x` times part of `w` times part of `g`.
Each of its three derivatives takes the parts of two, multiplies them as matrices `[tiles,
channels]`, and puts the third together by the transpose of what takes it apart. Kernels of 3x3 have
sixteen parts in place of 36 products. Those of 4x4 with stride 2 are of 2x2 on `blocks`.

Sums of differences round off a little more than the convolution does: in float32 by up to a
millionth of the largest number, in narrower types by too much. A number that is infinite, or very
large beside the others, also disturbs outputs of its tile that do not see it.

Source: Winograd (1980), "Arithmetic complexity of computations"; Lavin and Gray (2015),
arXiv:1509.09308.
"""

from collections.abc import Sequence
from functools import reduce
from math import isqrt, prod
from operator import add
from typing import Any, NamedTuple, TypeAlias

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

MIN_CHANNELS = 128
"""On either side of a product; with fewer, parts cost more than products save (decision 9)."""
MAX_NUMBERS = 2**24
"""In all parts of the images or of the outputs: with more, these cost what the products save."""
Matrix: TypeAlias = tuple[tuple[float, ...], ...]
Parts = list[Float[jax.Array, "tiles channels"]]
KernelParts = list[Float[jax.Array, "channels out_channels"]]


class Filtering(NamedTuple):
    """How a tile is taken apart along one axis: a row for each part."""

    pixels: Matrix
    kernel: Matrix
    outputs: Matrix


FILTERINGS = {
    2: Filtering(
        pixels=((1, -1, 0), (0, 1, 0), (0, -1, 1)),
        kernel=((1, 0), (1, 1), (0, 1)),
        outputs=((1, 0), (1, 1), (0, 1)),
    ),
    3: Filtering(
        pixels=((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, -1, 0, 1)),
        kernel=((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1)),
        outputs=((1, 0), (1, 1), (1, -1), (0, 1)),
    ),
}
"""By the side of the kernel: F(2x2, 2x2) and F(2x2, 3x3), where two outputs are made at a time."""


def has_fast_tiles(
    spec: ConvSpec, batch: Any, channels: int, out_channels: int, dtype: jnp.dtype
) -> bool:
    """Whether the three maps are exact enough by tiles, and faster as measured from four images on.

    Never where the batch is a symbol, as `jax.export` has it.
    """
    if not (halves(spec) or _is_3x3(spec)) or not isinstance(batch, int):
        return False
    sides = (4 * channels if halves(spec) else channels), out_channels
    parts = len(_filtering(spec).pixels) ** 2
    numbers = parts * batch * prod(_tiles(spec)) * max(sides)
    exact = accumulation_dtype(dtype) == dtype
    return exact and min(sides) >= MIN_CHANNELS and numbers <= MAX_NUMBERS


def _is_3x3(spec: ConvSpec) -> bool:
    """Whether the kernel is of 3x3 and moves pixel by pixel."""
    return (spec.kernel, spec.stride, spec.dilation, spec.groups) == ((3, 3), (1, 1), (1, 1), 1)


def convolve_tiles(spec: ConvSpec, x: Image, w: Kernel) -> Output:
    """The convolution."""
    products = [a @ b for a, b in zip(_image_parts(spec, x), _kernel_parts(spec, w), strict=True)]
    down, across = _tiles(spec)
    parts = [part.reshape(-1, down, across, w.shape[-1]) for part in products]
    corners = _assembled(_filtering(spec).outputs, parts)
    y = jnp.stack([jnp.stack(row, axis=3) for row in corners], axis=2)
    height, width = _outputs(spec)
    return y.reshape(-1, 2 * down, 2 * across, w.shape[-1])[:, :height, :width]


def input_gradient_tiles(spec: ConvSpec, g: Output, w: Kernel) -> Image:
    """Its derivative with respect to the image, applied to `g`."""
    products = [
        a @ b.T for a, b in zip(_output_parts(spec, g), _kernel_parts(spec, w), strict=True)
    ]
    parts = [part.reshape(-1, *_tiles(spec), part.shape[-1]) for part in products]
    pixels = _from_tiles(spec, [_from_tiles(spec, row, axis=2) for row in _rows(parts)], axis=1)
    return image_of_blocks(spec, pixels) if halves(spec) else spec.unpad(pixels)


def kernel_gradient_tiles(spec: ConvSpec, x: Image, g: Output) -> Kernel:
    """Its derivative with respect to the kernel, applied to `g`."""
    products = [a.T @ b for a, b in zip(_image_parts(spec, x), _output_parts(spec, g), strict=True)]
    taps = _assembled(_filtering(spec).kernel, products)
    w = jnp.stack([jnp.stack(row) for row in taps])
    return kernel_of_blocks(w) if halves(spec) else w


def _filtering(spec: ConvSpec) -> Filtering:
    return FILTERINGS[2 if halves(spec) else 3]


def _outputs(spec: ConvSpec) -> Size:
    """Outputs along each axis."""
    height, width = spec.padded
    return (height // 2 - 1, width // 2 - 1) if halves(spec) else (height - 2, width - 2)


def _tiles(spec: ConvSpec) -> Size:
    """Tiles of two outputs along each axis; the last may have one."""
    height, width = _outputs(spec)
    return -(-height // 2), -(-width // 2)


# What is taken apart.


def _image_parts(spec: ConvSpec, x: Image) -> Parts:
    pixels = image_blocks(spec, x) if halves(spec) else spec.pad(x)
    sides = len(_filtering(spec).pixels)
    pixels = _enlarged(pixels, *(2 * tiles + sides - 2 for tiles in _tiles(spec)))
    return [
        part.reshape(-1, part.shape[-1])
        for row in _of_tiles(spec, pixels, axis=1)
        for part in _of_tiles(spec, row, axis=2)
    ]


def _kernel_parts(spec: ConvSpec, w: Kernel) -> KernelParts:
    matrix, w = _filtering(spec).kernel, kernel_blocks(w) if halves(spec) else w
    return [part for row in _combined(matrix, w) for part in _combined(matrix, row)]


def _output_parts(spec: ConvSpec, g: Output) -> Parts:
    matrix, (down, across), channels = _filtering(spec).outputs, _tiles(spec), g.shape[-1]
    g = _enlarged(g, 2 * down, 2 * across).reshape(-1, down, 2, across, 2, channels)
    return [
        part.reshape(-1, channels)
        for row in _combined(matrix, (g[:, :, 0], g[:, :, 1]))
        for part in _combined(matrix, (row[:, :, :, 0], row[:, :, :, 1]))
    ]


def _enlarged(x: jax.Array, height: int, width: int) -> jax.Array:
    """An image of so many pixels, with rows and columns of zeros at the end."""
    return jnp.pad(x, ((0, 0), (0, height - x.shape[1]), (0, width - x.shape[2]), (0, 0)))


def _of_tiles(spec: ConvSpec, pixels: jax.Array, axis: int) -> list[jax.Array]:
    """Parts of tiles along one axis; a tile begins two pixels after the last one did."""
    matrix = _filtering(spec).pixels
    stop = pixels.shape[axis] - len(matrix) + 1
    places = [lax.slice_in_dim(pixels, i, stop + i, 2, axis) for i in range(len(matrix))]
    return _combined(matrix, places)


# What is put together: the transposes.


def _from_tiles(spec: ConvSpec, parts: Sequence[jax.Array], axis: int) -> jax.Array:
    """The transpose of `_of_tiles`: a pixel gets its shares of both tiles that have it."""
    places = _combined(_transposed(_filtering(spec).pixels), parts)

    def among(place: int, before: int, after: int) -> jax.Array:
        if place == len(places):
            return jnp.zeros((), parts[0].dtype)
        pads = [(0, 0)] * parts[0].ndim
        pads[axis] = before, after
        return jnp.pad(places[place], pads)

    sides = [among(i, 0, 1) + among(i + 2, 1, 0) for i in (0, 1)]
    *before, length = sides[0].shape[: axis + 1]
    return jnp.stack(sides, axis + 1).reshape(*before, 2 * length, *sides[0].shape[axis + 1 :])


def _assembled(matrix: Matrix, parts: Sequence[jax.Array]) -> list[tuple[jax.Array, ...]]:
    """What has these parts along both axes, row by row."""
    back = _transposed(matrix)
    across = [_combined(back, row) for row in _rows(parts)]
    columns = [_combined(back, column) for column in zip(*across, strict=True)]
    return list(zip(*columns, strict=True))


# Matrices.


def _combined(matrix: Matrix, terms: Sequence[jax.Array] | jax.Array) -> list[jax.Array]:
    """The matrix times a column of terms."""
    return [
        reduce(add, [factor * term for factor, term in zip(row, terms, strict=True) if factor])
        for row in matrix
    ]


def _transposed(matrix: Matrix) -> Matrix:
    return tuple(zip(*matrix, strict=True))


def _rows(parts: Sequence[jax.Array]) -> list[Sequence[jax.Array]]:
    """As many as there are columns."""
    side = isqrt(len(parts))
    return [parts[i : i + side] for i in range(0, len(parts), side)]
