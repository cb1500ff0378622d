"""Windows over an image, tap by tap: the parts of convolution and pooling.

A window of k x k pixels has k^2 taps. Tap (i, j) of all windows together is one strided slice of
the padded image: `slice_ij[b, p, q] = x[b, s p + i, s q + j]`. Forward, slices are read; backward,
the same slices are added to. So a convolution is k^2 matrix products, and each of its derivatives
is the same products with another operand left out.
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
from jaxtyping import Float

from dl_jax.functional.windows import Size
from dl_jax.types import Array

Images = Float[Array, "_ _ _ _"]  # [batch, height, width, channels]
Slices = tuple[slice, slice, slice]


def size_of(x: Array) -> Size:
    """Height and width of images."""
    return x.shape[1], x.shape[2]


def window_of(kernel: Array) -> Size:
    """Height and width of a kernel."""
    return kernel.shape[0], kernel.shape[1]


def taps(window: Size, stride: Size, outputs: Size) -> Iterator[tuple[int, int, Slices]]:
    """Each tap of the window, with its slice of the padded image."""
    for i in range(window[0]):
        for j in range(window[1]):
            rows = slice(i, i + (outputs[0] - 1) * stride[0] + 1, stride[0])
            columns = slice(j, j + (outputs[1] - 1) * stride[1] + 1, stride[1])
            yield i, j, (slice(None), rows, columns)


def outputs_of(padded: Images, window: Size, stride: Size) -> Size:
    """Number of windows that fit a padded image, in height and width."""
    height, width = size_of(padded)
    return (height - window[0]) // stride[0] + 1, (width - window[1]) // stride[1] + 1


def pad(x: Images, pads: tuple[Size, Size], value: float = 0.0) -> Float[jax.Array, "_ _ _ _"]:
    """Images with a margin; the transpose of `crop`."""
    return jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=value)


def crop(x: Images, pads: tuple[Size, Size]) -> Images:
    """Images without their margin; the transpose of `pad`."""
    (top, bottom), (left, right) = pads
    return x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]
