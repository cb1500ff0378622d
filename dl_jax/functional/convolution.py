"""Two-dimensional convolution of images."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dl_jax.functional.trilinear import Geometry, family
from dl_jax.functional.windows import Padding, as_pair, resolve_padding


def conv2d(
    x: Float[Array, "batch height width in_channels"],
    kernel: Float[Array, "kernel_height kernel_width in_per_group out_channels"],
    bias: Float[Array, " out_channels"] | None = None,
    *,
    stride: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Float[Array, "batch out_height out_width out_channels"]:
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
        groups: the channels are cut into so many groups, each convolved on its own.

    Raises:
        ValueError: channels, groups or sizes do not fit together.

    Derivatives of any order are available in reverse mode; mapping over kernels stays fast. See
    `dl_jax.functional.trilinear`.

    Source: LeCun et al. (1989), "Backpropagation applied to handwritten zip code recognition".
    """
    in_channels, out_channels = x.shape[-1], kernel.shape[-1]
    if groups < 1 or out_channels % groups or kernel.shape[2] * groups != in_channels:
        raise ValueError(
            f"a kernel of shape {kernel.shape} in {groups} groups does not fit {in_channels} input "
            f"channels: its third axis must be {in_channels}/{groups} and its last divisible by "
            f"{groups}"
        )
    size, window = (x.shape[1], x.shape[2]), (kernel.shape[0], kernel.shape[1])
    stride, dilation = as_pair("stride", stride), as_pair("dilation", dilation)
    pads = resolve_padding(padding, size, window, stride, dilation)
    for axis, name in enumerate(("height", "width")):
        reach = (window[axis] - 1) * dilation[axis] + 1
        if size[axis] + sum(pads[axis]) < reach:
            raise ValueError(
                f"the kernel reaches over {reach} pixels of {name}, the padded image has "
                f"{size[axis] + sum(pads[axis])}: use a smaller kernel or more padding"
            )
    geometry = Geometry(size, window, stride, pads, dilation, groups)
    kernel = kernel.astype(x.dtype)
    if jax.sharding.get_abstract_mesh().manual_axes:
        # Inside `shard_map` a custom derivative must be of the type of its operand: let both vary
        # over the same mesh axes, and JAX sums the gradient of the one that did not.
        x, kernel = x + jnp.zeros_like(kernel, shape=()), kernel + jnp.zeros_like(x, shape=())
    y = family(geometry).convolve(x, kernel)
    return y if bias is None else y + jnp.broadcast_to(bias.astype(y.dtype), y.shape)
