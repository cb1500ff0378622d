"""Residual networks: ResNet18 and ResNet34, and wide residual networks."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

from dl_jax.errors import UsageError, check_choice
from dl_jax.functional import global_avg_pool, max_pool, relu, zeros
from dl_jax.models.chain import Layer, chain, residual
from dl_jax.models.layers import conv, drop, linear, norm, ones
from dl_jax.models.model import Model, check_channels, check_sizes
from dl_jax.types import Scalar

Stem = Literal["cifar", "imagenet"]


def resnet18(
    num_classes: int,
    *,
    stem: Stem = "cifar",
    width: int = 64,
    in_channels: int = 3,
    zero_init: bool = False,
    shortcuts: bool = True,
) -> Model:
    """A residual network of 18 layers: four stages of two basic blocks.

    Args:
        num_classes: units of the last layer, whose outputs are logits.
        stem: what comes before the blocks: `cifar` is one 3x3 convolution, for images of some 32
            pixels; `imagenet` is a 7x7 convolution of stride 2 and a max-pool, for some 224.
        width: filters of the first stage; each further one has twice as many, at half the size.
        in_channels: of the images.
        zero_init: start the last scale of each block at zero, so that it begins as its shortcut.
        shortcuts: without them it is the plain network that theirs is compared with.

    Raises:
        UsageError: a size is not a positive integer, or the stem is unknown; and, when the model is
            applied, the images are integers or have other channels.

    Source: He et al. (2015), arXiv:1512.03385, table 1 and section 4.2; the shortcuts that change
    the shape are convolutions (their option B), the plain network is that of section 3.3.
    `zero_init`: Goyal et al. (2017), arXiv:1706.02677, section 5.1.
    """
    block = partial(basic_block, zero_init=zero_init, shortcut=shortcuts)
    return _resnet("resnet18", num_classes, (2, 2, 2, 2), stem, width, in_channels, block)


def resnet34(
    num_classes: int,
    *,
    stem: Stem = "cifar",
    width: int = 64,
    in_channels: int = 3,
    zero_init: bool = False,
    shortcuts: bool = True,
) -> Model:
    """A residual network of 34 layers: stages of 3, 4, 6 and 3 basic blocks, as `resnet18`."""
    block = partial(basic_block, zero_init=zero_init, shortcut=shortcuts)
    return _resnet("resnet34", num_classes, (3, 4, 6, 3), stem, width, in_channels, block)


def wide_resnet(
    depth: int,
    factor: int,
    num_classes: int,
    *,
    dropout_rate: Scalar = 0.0,
    in_channels: int = 3,
) -> Model:
    """A wide residual network: three stages of blocks that normalize before they convolve.

    Args:
        depth: convolutions on the longest path, `6 n + 4` for stages of `n` blocks.
        factor: the stages have `16 factor`, `32 factor` and `64 factor` filters.
        num_classes: units of the last layer, whose outputs are logits.
        dropout_rate: probability of dropping an activation between the two convolutions of a block
            while training, in [0, 1).
        in_channels: of the images.

    Raises:
        UsageError: the depth is not of this form, a size is not a positive integer, or the rate is
            out of range; and, when the model is applied, the images are integers or have other
            channels.

    Source: Zagoruyko and Komodakis (2016), arXiv:1605.07146, table 1; the order within a block is
    that of He et al. (2016), arXiv:1603.05027.
    """
    described = f"wide_resnet sizes are {depth=}, {factor=}, {num_classes=}, {in_channels=}"
    check_sizes(described, (depth, factor, num_classes, in_channels))
    blocks, rest = divmod(depth - 4, 6)
    if blocks < 1 or rest:
        raise UsageError(f"wide_resnet has {depth=}, expected 6 n + 4, such as 16, 28 or 40")
    layers: dict[str, Layer] = {
        "inputs": partial(check_channels, "wide_resnet", in_channels),
        "conv1": conv(in_channels, 16, bias=False),
    }
    channels = 16
    for stage in (1, 2, 3):
        filters = 16 * factor * 2 ** (stage - 1)
        for block in range(blocks):
            stride = 2 if stage > 1 and block == 0 else 1
            layers[f"layer{stage}_{block}"] = wide_block(channels, filters, stride, dropout_rate)
            channels = filters
    return chain(
        {
            **layers,
            "norm1": norm(channels),
            "relu1": relu,
            "pool": global_avg_pool,
            "head": linear(channels, num_classes),
        }
    )


def basic_block(
    in_channels: int, filters: int, stride: int, *, zero_init: bool, shortcut: bool
) -> Model:
    """Two 3x3 convolutions with a shortcut; the ReLU after their sum is a layer of its own."""
    branch = chain(
        {
            "conv1": conv(in_channels, filters, stride=stride, padding=1, bias=False),
            "norm1": norm(filters),
            "relu1": relu,
            "conv2": conv(filters, filters, padding=1, bias=False),
            "norm2": norm(filters, scale_init=zeros if zero_init else ones),
        }
    )
    if not shortcut:
        return branch
    if stride == 1 and in_channels == filters:
        return residual(branch)
    project = {
        "conv": conv(in_channels, filters, 1, stride=stride, padding=0, bias=False),
        "norm": norm(filters),
    }
    return residual(branch, chain(project))


def wide_block(in_channels: int, filters: int, stride: int, dropout_rate: Scalar) -> Model:
    """Two 3x3 convolutions, each after a normalization and a ReLU, with a shortcut.

    Where the shape changes, the first normalization comes before the shortcut too.
    """
    before: dict[str, Layer] = {"norm1": norm(in_channels), "relu1": relu}
    convolutions: dict[str, Layer] = {
        "conv1": conv(in_channels, filters, stride=stride, padding=1, bias=False),
        "norm2": norm(filters),
        "relu2": relu,
        "drop": drop(dropout_rate),
        "conv2": conv(filters, filters, padding=1, bias=False),
    }
    if stride == 1 and in_channels == filters:
        return residual(chain({**before, **convolutions}))
    project = conv(in_channels, filters, 1, stride=stride, padding=0, bias=False)
    return chain({**before, "block": residual(chain(convolutions), project)})


def _resnet(
    name: str,
    num_classes: int,
    blocks: Sequence[int],
    stem: Stem,
    width: int,
    in_channels: int,
    block_of: Callable[[int, int, int], Model],
) -> Model:
    check_choice("stem", stem, ("cifar", "imagenet"))
    described = f"{name} sizes are {num_classes=}, {width=}, {in_channels=}"
    check_sizes(described, (num_classes, width, in_channels))
    layers: dict[str, Layer] = {"inputs": partial(check_channels, name, in_channels)}
    if stem == "cifar":
        layers["conv1"] = conv(in_channels, width, padding=1, bias=False)
    else:
        layers["conv1"] = conv(in_channels, width, 7, stride=2, padding=3, bias=False)
    layers |= {"norm1": norm(width), "relu1": relu}
    if stem == "imagenet":
        layers["pool1"] = partial(max_pool, window=3, stride=2, padding=1)
    channels = width
    for stage, count in enumerate(blocks, 1):
        filters = width * 2 ** (stage - 1)
        for block in range(count):
            stride = 2 if stage > 1 and block == 0 else 1
            layers[f"layer{stage}_{block}"] = block_of(channels, filters, stride)
            layers[f"relu{stage}_{block}"] = relu
            channels = filters
    return chain({**layers, "pool": global_avg_pool, "head": linear(channels, num_classes)})
