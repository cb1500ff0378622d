"""Generators and critics: of images, by convolutions, and of points, by dense layers.

A generator maps noise `[batch, latent_dim]` to examples, a critic examples to scores `[batch]`.
With `num_classes` both take a pair, the labels second.
"""

from collections.abc import Sequence

from jaxtyping import Float

from dl_jax.errors import UsageError, check_integer
from dl_jax.functional import he_normal, leaky_relu, lecun_normal, relu, tanh
from dl_jax.models.chain import Layer, chain
from dl_jax.models.generative.labels import inputs_with_label
from dl_jax.models.layers import conv, deconv, flatten, linear, norm
from dl_jax.models.mlp import dense_layers
from dl_jax.models.model import Model, check_sizes
from dl_jax.types import Array

SMALLEST = (4, 7)
"""Sides of the smallest images inside a network, in pixels, at least and at most."""


def wgan_generator(
    image_shape: Sequence[int],
    latent_dim: int = 64,
    *,
    width: int = 64,
    hidden_dim: int = 0,
    num_classes: int | None = None,
    batch_norm: bool = True,
) -> Model:
    """Noise `[batch, latent_dim]` to images `[batch, height, width, channels]` in [-1, 1].

    A dense layer makes the smallest image, of 4 to 7 pixels; each transposed convolution of 4x4
    pixels then doubles its sides and halves its channels, down to `width`; the last has a tanh.
    For images of 8 to 28 pixels, `hidden_dim` should be some hundred units: the receptive field of
    one or two convolutions is too small for a coherent digit.

    Args:
        image_shape: `(height, width, channels)`; sides are 4 to 7 pixels doubled some times, such
            as 8, 28, 32 or 64.
        latent_dim: numbers that an image is made of.
        width: channels before the last layer.
        hidden_dim: units of a dense layer before the smallest image; 0 is none.
        num_classes: that the network is told; None is none.
        batch_norm: normalize each hidden layer.

    Raises:
        UsageError: a size is out of range, or sides are not 4 to 7 pixels doubled some times.

    Source: Radford et al. (2015), arXiv:1511.06434; Gulrajani et al. (2017), arXiv:1704.00028; Chen
    et al. (2016), arXiv:1606.03657, appendix C.1, for the hidden layer.
    """
    described = f"wgan_generator sizes are {image_shape=}, {latent_dim=}, {width=}, {num_classes=}"
    check_sizes(
        described, image_shape, (latent_dim, width), () if num_classes is None else (num_classes,)
    )
    check_integer("hidden_dim", hidden_dim, low=0)
    (height, columns), doublings = smallest(image_shape)
    inputs, (features,) = inputs_with_label("wgan_generator", (latent_dim,), num_classes)
    channels = width * 2 ** (doublings - 1)
    shape = (-1, height, columns, channels)
    layers: dict[str, Layer] = {"inputs": inputs}
    if hidden_dim:
        layers["hidden"] = linear(features, hidden_dim, bias=not batch_norm)
        layers |= _activated("_hidden", hidden_dim, batch_norm)
        features = hidden_dim
    layers |= {
        "project": linear(features, height * columns * channels, bias=not batch_norm),
        "image": lambda x: x.reshape(shape),
        **_activated(0, channels, batch_norm),
    }
    for number in range(1, doublings):
        layers[f"deconv{number}"] = deconv(channels, channels // 2, bias=not batch_norm)
        channels //= 2
        layers |= _activated(number, channels, batch_norm)
    head = deconv(channels, image_shape[-1], kernel_init=lecun_normal)
    return chain({**layers, "head": head, "tanh": tanh})


def wgan_critic(
    image_shape: Sequence[int],
    *,
    width: int = 64,
    hidden_dim: int = 0,
    num_classes: int | None = None,
) -> Model:
    """Images `[batch, height, width, channels]` to scores `[batch]`.

    Convolutions of 4x4 pixels halve the sides and double the channels, from `width`, down to 4 to 7
    pixels; one dense layer, or two, make the score. There is no batch normalization: the gradient
    penalty is of each image alone.

    Args:
        image_shape: as for `wgan_generator`.
        width: channels after the first layer.
        hidden_dim: units of a dense layer before the score; 0 is none (see
            `wgan_generator`: without one, far parts of an image are only summed).
        num_classes: that the network is told; None is none.

    Raises:
        UsageError: as for `wgan_generator`.

    Source: Radford et al. (2015), arXiv:1511.06434; Gulrajani et al. (2017), arXiv:1704.00028,
    section 4; Chen et al. (2016), arXiv:1606.03657, appendix C.1, for the hidden layer.
    """
    described = f"wgan_critic sizes are {image_shape=}, {width=}, {num_classes=}"
    check_sizes(described, image_shape, (width,), () if num_classes is None else (num_classes,))
    check_integer("hidden_dim", hidden_dim, low=0)
    (height, columns), halvings = smallest(image_shape)
    inputs, (*_, channels) = inputs_with_label("wgan_critic", image_shape, num_classes)
    layers: dict[str, Layer] = {"inputs": inputs}
    for number in range(1, halvings + 1):
        filters = width * 2 ** (number - 1)
        layers[f"conv{number}"] = conv(channels, filters, 4, stride=2)
        layers[f"activation{number}"] = leaky
        channels = filters
    layers["flatten"], features = flatten, height * columns * channels
    if hidden_dim:
        layers |= {"hidden": linear(features, hidden_dim), "activation_hidden": leaky}
        features = hidden_dim
    return chain({**layers, "head": linear(features, 1), "score": score})


def mlp_generator(
    features: int,
    latent_dim: int = 2,
    widths: Sequence[int] = (128, 128, 128),
    *,
    num_classes: int | None = None,
) -> Model:
    """Noise `[batch, latent_dim]` to points `[batch, features]`, by dense layers with ReLU.

    Args:
        features: coordinates of a point.
        latent_dim: numbers that a point is made of.
        widths: units of each hidden layer.
        num_classes: that the network is told; None is none.

    Raises:
        UsageError: a size is out of range.

    Source: Goodfellow et al. (2014), arXiv:1406.2661.
    """
    described = f"mlp_generator sizes are {features=}, {latent_dim=}, {widths=}, {num_classes=}"
    check_sizes(
        described, (features, latent_dim), widths, () if num_classes is None else (num_classes,)
    )
    inputs, (given,) = inputs_with_label("mlp_generator", (latent_dim,), num_classes)
    return chain({"inputs": inputs, **dense_layers((given, *widths, features), relu, 0, he_normal)})


def mlp_critic(
    features: int, widths: Sequence[int] = (128, 128, 128), *, num_classes: int | None = None
) -> Model:
    """Points `[batch, features]` to scores `[batch]`, by dense layers with ReLU.

    Args:
        features: coordinates of a point.
        widths: units of each hidden layer.
        num_classes: that the network is told; None is none.

    Raises:
        UsageError: a size is out of range.

    Source: Goodfellow et al. (2014), arXiv:1406.2661.
    """
    described = f"mlp_critic sizes are {features=}, {widths=}, {num_classes=}"
    check_sizes(described, (features,), widths, () if num_classes is None else (num_classes,))
    inputs, (given,) = inputs_with_label("mlp_critic", (features,), num_classes)
    layers = dense_layers((given, *widths, 1), relu, 0, he_normal)
    return chain({"inputs": inputs, **layers, "score": score})


def smallest(image_shape: Sequence[int]) -> tuple[tuple[int, int], int]:
    """Height and width of the smallest image inside a network, and how often they are doubled.

    Raises:
        UsageError: both sides are not 4 to 7 pixels doubled as often.
    """
    if len(image_shape) != 3:
        raise UsageError(f"image_shape is {image_shape}, expected (height, width, channels)")
    low, high = SMALLEST
    height, width, _ = image_shape
    for doublings in range(1, 12):
        sides = height >> doublings, width >> doublings
        whole = (sides[0] << doublings, sides[1] << doublings) == (height, width)
        if whole and all(low <= side <= high for side in sides):
            return sides, doublings
    raise UsageError(
        f"images of {height}x{width} pixels cannot be halved to {low} to {high}: choose sides such "
        "as 8, 28, 32 or 64"
    )


def score(x: Float[Array, "batch 1"]) -> Array:
    """One number for each example."""
    return x[:, 0]


def leaky(x: Array) -> Array:
    """A ReLU that lets a fifth of what is negative pass, as DCGAN's critic has."""
    return leaky_relu(x, negative_slope=0.2)


def _activated(name: int | str, channels: int, batch_norm: bool) -> dict[str, Layer]:
    normalize: dict[str, Layer] = {f"norm{name}": norm(channels)} if batch_norm else {}
    return {**normalize, f"relu{name}": relu}
