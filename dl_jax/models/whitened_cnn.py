"""A convolutional network that learns fast: a whitening layer, then few and wide ones."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from dl_jax.errors import UsageError
from dl_jax.functional import (
    conv2d,
    dirac,
    gelu,
    global_max_pool,
    lecun_normal,
    max_pool,
)
from dl_jax.models.chain import Layer, chain
from dl_jax.models.layers import conv, linear, norm
from dl_jax.models.model import Model, Output, check_channels, check_sizes
from dl_jax.models.transformations import standardize
from dl_jax.types import Array, Params, PRNGKey, Scalar, State

WINDOW = 2
"""Height and width of the patches that are whitened, in pixels."""
WHITENED = 5000
"""Images whose patches the kernel is made of, at most."""


def whitened_cnn(
    num_classes: int,
    *,
    widths: Sequence[int] = (64, 256, 256),
    in_channels: int = 3,
    momentum: Scalar = 0.6,
    output_scale: float = 1 / 9,
) -> Model:
    """A whitening layer, blocks of two 3x3 convolutions each, a maximum over all pixels, a head.

    A block is convolution, max-pool, normalization, GELU, convolution, normalization, GELU. The
    kernel of the first layer is not trained: it is state, that of `whitening_kernel`, to be given
    to `fit` as `start=whitening_start(images, statistics)`; until then it is random.

    Args:
        num_classes: units of the last layer, whose outputs are logits.
        widths: filters of both convolutions of each block.
        in_channels: of the images.
        momentum: share of the running statistics that is kept at each step: they follow fast.
        output_scale: factor of the logits, so that training begins with small ones.

    Raises:
        UsageError: a size is not a positive integer; and, when the model is applied, the images are
            integers or have other channels.

    Source: Jordan (2024), arXiv:2404.00498, section 3, after Page (2019), "How to train your
    ResNet 8: bag of tricks". Here normalization has a scale, and the network no frozen biases.
    """
    described = f"whitened_cnn sizes are {num_classes=}, {widths=}, {in_channels=}"
    check_sizes(described, (num_classes, in_channels), widths)
    channels = 2 * WINDOW**2 * in_channels
    layers: dict[str, Layer] = {
        "inputs": partial(check_channels, "whitened_cnn", in_channels),
        "whiten": _whiten(in_channels),
        "gelu": gelu,
    }
    for b, filters in enumerate(widths, 1):
        layers |= {
            f"conv{b}_1": conv(channels, filters, bias=False, kernel_init=dirac(lecun_normal)),
            f"pool{b}": max_pool,
            f"norm{b}_1": norm(filters, momentum=momentum),
            f"gelu{b}_1": gelu,
            f"conv{b}_2": conv(filters, filters, bias=False, kernel_init=dirac(lecun_normal)),
            f"norm{b}_2": norm(filters, momentum=momentum),
            f"gelu{b}_2": gelu,
        }
        channels = filters
    return chain(
        {
            **layers,
            "pool": global_max_pool,
            "head": linear(channels, num_classes, bias=False),
            "scale": lambda logits: output_scale * logits,
        }
    )


def whitening_start(
    images: Any,
    statistics: tuple[Float[np.ndarray, " channels"], Float[np.ndarray, " channels"]],
) -> tuple[Params, State]:
    """What `fit` begins from: the first layer's `whitening_kernel` of the first 5,000 images.

    Args:
        images: to train on, uint8 `[examples, height, width, channels]`: an array, or what a
            dataset has in its place; no more than 5,000 are read.
        statistics: mean and std of each channel, by which they are standardized.

    Raises:
        UsageError: as for `whitening_kernel`.
    """
    seen = np.asarray(standardize(*statistics)(images[:WHITENED]))
    return {}, {"whiten": {"kernel": whitening_kernel(seen)}}


def whitening_kernel(
    images: Float[np.ndarray, "examples height width channels"], epsilon: float = 5e-4
) -> Float[np.ndarray, "2 2 channels filters"]:
    """The kernel whose outputs, over the patches of these images, are uncorrelated and of size one.

    Its filters are the principal components of all patches of 2x2 pixels, each divided by the
    square root of its variance plus `epsilon`, and the negatives of them.

    Args:
        images: some thousand, as the network sees them, standardized.
        epsilon: keeps filters of hardly any variance small.

    Raises:
        UsageError: there are no images, or they are smaller than a patch.

    Source: Page (2019), "How to train your ResNet 8: bag of tricks".
    """
    count, height, width, channels = images.shape
    if not count or min(height, width) < WINDOW:
        raise UsageError(
            f"images have shape {images.shape}, expected at least one of {WINDOW}x{WINDOW} pixels"
        )
    windows = np.lib.stride_tricks.sliding_window_view(images, (WINDOW, WINDOW), axis=(1, 2))
    patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, WINDOW**2 * channels)
    variances, components = np.linalg.eigh(np.cov(patches.astype(np.float64), rowvar=False))
    filters = components / np.sqrt(variances + epsilon)
    kernel = np.concatenate([filters, -filters], axis=1)
    return kernel.reshape(WINDOW, WINDOW, channels, -1).astype(np.float32)


def _whiten(in_channels: int) -> Model:
    """A convolution whose kernel is state; only its bias is trained."""
    shape = (WINDOW, WINDOW, in_channels, 2 * WINDOW**2 * in_channels)

    def init(key: PRNGKey) -> tuple[Params, State]:
        return {"bias": jnp.zeros(shape[-1])}, {"kernel": lecun_normal(key, shape)}

    def apply(
        params: Params, state: State, inputs: Array, *, train: bool, key: PRNGKey | None = None
    ) -> tuple[Output, State]:
        del train, key
        kernel = jax.lax.stop_gradient(state["kernel"])
        return conv2d(inputs, kernel, params["bias"], padding="VALID"), state

    return Model(init, apply)
