"""Two-dimensional convolution of images, and its transpose."""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from dl_jax.functional.channels import spread_channels
from dl_jax.functional.convolution.rules import conv_ops
from dl_jax.functional.convolution.spec import ConvSpec
from dl_jax.functional.windows import (
    CountOrPair,
    Padding,
    as_pair,
    check_kernel_fits,
    resolve_padding,
)
from dl_jax.types import Array, Count


def conv2d(
    x: Float[Array, "batch height width in_channels"],
    kernel: Float[Array, "kernel_height kernel_width in_per_group out_channels"],
    bias: Float[Array, " out_channels"] | None = None,
    *,
    stride: CountOrPair = 1,
    padding: Padding = "SAME",
    dilation: CountOrPair = 1,
    groups: Count = 1,
) -> Float[jax.Array, "batch out_height out_width out_channels"]:
    """Cross-correlation of images with a bank of kernels.

    `y[b, p, q, o] = bias[o] + sum_{i, j, c} x[b, s p + d i, s q + d j, c] kernel[i, j, c, o]`
    with stride `s` and dilation `d`, over the padded image.

    Args:
        x: images.
        kernel: one kernel of `in_channels / groups` channels for each output channel.
        bias: added to every pixel of its channel.
        stride: distance in pixels between outputs.
        padding: `"SAME"`, `"VALID"`, an integer, a pair, or `((top, bottom), (left, right))`.
        dilation: distance in pixels between a kernel's taps.
        groups: the channels are split into this many groups, each convolved separately.

    Raises:
        ValueError: channels, groups, sizes or padding do not fit together.

    Reverse-mode derivatives of any order are available (no forward mode), and `vmap` over kernels
    is fast: see `dl_jax.functional.convolution.rules`.

    Source: LeCun et al. (1989), "Backpropagation applied to handwritten zip code recognition".
    """
    x, groups = jnp.asarray(x), int(groups)
    in_channels, out_channels = x.shape[-1], kernel.shape[-1]
    if 0 in kernel.shape:
        raise ValueError(f"a kernel of shape {kernel.shape} is empty")
    if groups < 1 or out_channels % groups or kernel.shape[2] * groups != in_channels:
        raise ValueError(
            f"a kernel of shape {kernel.shape} in {groups} groups does not fit {in_channels} input "
            f"channels: its third axis must be {in_channels}/{groups} and its last divisible by "
            f"{groups}"
        )
    size, window = (x.shape[1], x.shape[2]), (kernel.shape[0], kernel.shape[1])
    stride, dilation = as_pair("stride", stride), as_pair("dilation", dilation)
    pads = resolve_padding(padding, size, window, stride, dilation)
    check_kernel_fits(size, window, pads, dilation)
    spec = ConvSpec(size, window, stride, pads, dilation, groups)
    y = conv_ops(spec).convolve(*_varying_alike(x, jnp.asarray(kernel, x.dtype)))
    return y if bias is None else y + spread_channels(bias, y)


def conv2d_transpose(
    x: Float[Array, "batch height width in_channels"],
    kernel: Float[Array, "kernel_height kernel_width kernel_in out_channels"],
    bias: Float[Array, " out_channels"] | None = None,
    *,
    stride: CountOrPair = 1,
    padding: Padding = "SAME",
    dilation: CountOrPair = 1,
) -> Float[jax.Array, "batch out_height out_width out_channels"]:
    """The transpose of a convolution: every pixel adds a multiple of the kernel to the output.

    It enlarges an image by its stride. It is the gradient of `conv2d` with respect to its input,
    with the kernel rotated by 180 degrees and its channels exchanged. With reach
    `r = (kernel - 1) dilation + 1`, the output has along each axis

        "SAME"       size * stride
        "VALID"      size * stride + max(r - stride, 0)
        (p, q)       (size - 1) * stride + r - p - q

    pixels: explicit padding is that of the convolution whose gradient this is, as in PyTorch.
    Strings and the kernel's layout are those of Flax's `ConvTranspose`.

    Args:
        x: images.
        kernel: the pattern that each pixel adds.
        bias: added to every pixel of its channel.
        stride: distance in pixels between the patterns of neighbors.
        padding: as for `conv2d`.
        dilation: distance in pixels between a kernel's taps.

    Raises:
        ValueError: the channels do not fit, or padding leaves an empty output.

    Source: Zeiler et al. (2010), "Deconvolutional networks"; Dumoulin and Visin (2016),
    arXiv:1603.07285, chapter 4.
    """
    x = jnp.asarray(x)
    if 0 in kernel.shape:
        raise ValueError(f"a kernel of shape {kernel.shape} is empty")
    if kernel.shape[2] != x.shape[-1]:
        raise ValueError(
            f"a kernel of shape {kernel.shape} does not fit {x.shape[-1]} input channels: its "
            f"third axis must be {x.shape[-1]}"
        )
    window, strides = (kernel.shape[0], kernel.shape[1]), as_pair("stride", stride)
    dilations = as_pair("dilation", dilation)
    reach = [(size - 1) * step + 1 for size, step in zip(window, dilations, strict=True)]
    sizes = list(zip(x.shape[1:3], strides, reach, strict=True))
    if padding == "SAME":
        image = tuple(size * step for size, step, _ in sizes)
    elif padding == "VALID":
        image = tuple(size * step + max(r - step, 0) for size, step, r in sizes)
    else:
        pads = resolve_padding(padding, (0, 0), window, strides, dilations)
        image = tuple(
            (size - 1) * step + r - sum(pad)
            for (size, step, r), pad in zip(sizes, pads, strict=True)
        )
    if min(image) < 1:
        raise ValueError(f"padding {padding} leaves an output of {image} pixels")
    pads = resolve_padding(padding, (image[0], image[1]), window, strides, dilations)
    spec = ConvSpec((image[0], image[1]), window, strides, pads, dilations, 1)
    rotated = jnp.flip(jnp.asarray(kernel, x.dtype), (0, 1)).swapaxes(2, 3)
    y = conv_ops(spec).input_gradient(*_varying_alike(x, rotated))
    return y if bias is None else y + spread_channels(bias, y)


def _varying_alike(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Both operands, varying over the same mesh axes.

    Inside `shard_map` a custom derivative must have the type of its operand. With both varying over
    the same axes, JAX itself sums the gradient of the one that did not vary.
    """
    if not jax.sharding.get_abstract_mesh().manual_axes:
        return x, kernel
    return x + jnp.zeros_like(kernel, shape=()), kernel + jnp.zeros_like(x, shape=())
