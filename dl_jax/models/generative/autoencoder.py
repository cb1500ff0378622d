"""Autoencoders: an encoder to few numbers, and a decoder whose layers mirror the encoder's."""

from collections.abc import Sequence
from functools import partial
from math import prod

import jax.numpy as jnp

from dl_jax.errors import UsageError
from dl_jax.functional import Activation, relu
from dl_jax.models.chain import Layer, chain
from dl_jax.models.layers import conv, deconv, flatten, linear
from dl_jax.models.model import Model, check_inputs, check_sizes
from dl_jax.types import Array

ENCODER, DECODER, LATENT = "encoder", "decoder", "latent"


def autoencoder(
    input_shape: Sequence[int],
    widths: Sequence[int],
    latent_dim: int,
    *,
    convolutional: bool = False,
    activation: Activation = relu,
) -> Model:
    """`[batch, *input_shape]` to `[batch, latent_dim]` and back: the chains `encoder`, `decoder`.

    Both consist of levels. `encoder/level1`, `encoder/level2` and so on, and `encoder/latent`, are
    mirrored by `decoder/latent`, ..., `decoder/level2`, `decoder/level1`: each maps what its
    counterpart gives back to what its counterpart was given, so that `features` of both can be
    compared. An activation follows each level but the latent one of the encoder and the last.

    Args:
        input_shape: of one example; `(height, width, channels)` where it is convolutional.
        widths: of each level, from the outside: units, or filters of a convolution of 4x4 pixels
            that halves the image; empty for a linear autoencoder.
        latent_dim: numbers in the middle.
        convolutional: convolutions in place of dense layers.
        activation: applied after the hidden levels.

    Raises:
        UsageError: a size is out of range, or an image cannot be halved so often; and, when the
            model is applied, the inputs are integers or do not have `input_shape`.

    Source: Hinton and Salakhutdinov (2006), "Reducing the dimensionality of data with neural
    networks"; Masci et al. (2011), "Stacked convolutional auto-encoders", for images.
    """
    return _mirrored("autoencoder", input_shape, widths, latent_dim, 1, convolutional, activation)


def variational_autoencoder(
    input_shape: Sequence[int],
    widths: Sequence[int],
    latent_dim: int,
    *,
    convolutional: bool = False,
    activation: Activation = relu,
) -> Model:
    """As `autoencoder`, but the encoder gives a normal distribution, `[batch, 2 latent_dim]`.

    They are its means, and the logarithms of its variances. The layer `mean` takes the first half,
    and so the model decodes the mean; to draw is the learner's part (`variational`).

    Args:
        input_shape: as for `autoencoder`.
        widths: as for `autoencoder`.
        latent_dim: dimensions of the distribution.
        convolutional: as for `autoencoder`.
        activation: as for `autoencoder`.

    Raises:
        UsageError: as for `autoencoder`.

    Source: Kingma and Welling (2013), arXiv:1312.6114, appendix C.
    """
    name = "variational_autoencoder"
    return _mirrored(name, input_shape, widths, latent_dim, 2, convolutional, activation)


def _mirrored(
    name: str,
    input_shape: Sequence[int],
    widths: Sequence[int],
    latent_dim: int,
    numbers: int,
    convolutional: bool,
    activation: Activation,
) -> Model:
    """Encoder and decoder; the encoder gives `numbers` for each latent dimension."""
    check_sizes(f"{name} sizes are {input_shape=}, {widths=}, {latent_dim=}",
                input_shape, widths, (latent_dim,))  # fmt: skip
    shape = tuple(input_shape)
    encoder: dict[str, Layer] = {"inputs": partial(check_inputs, name, shape)}
    back: list[tuple[str, Model]] = []
    make = _convolutional if convolutional else _dense
    for number, width in enumerate(widths, 1):
        last = (lambda x: x) if number == 1 else activation
        forward, backward, shape = make(name, shape, width, activation, last)
        encoder[f"level{number}"] = forward
        back.append((f"level{number}", backward))
    features = prod(shape)
    encoder[LATENT] = chain({"flatten": flatten, "map": linear(features, numbers * latent_dim)})
    inner = activation if widths else lambda x: x
    decoder: dict[str, Layer] = {
        LATENT: chain(
            {"map": linear(latent_dim, features), "shape": _shaped(shape), "activation": inner}
        ),
        **dict(reversed(back)),
    }
    layers: dict[str, Layer] = {ENCODER: chain(encoder)}
    if numbers > 1:
        layers["mean"] = lambda x: jnp.split(x, numbers, axis=-1)[0]
    return chain({**layers, DECODER: chain(decoder)})


def _dense(
    name: str, shape: tuple[int, ...], width: int, activation: Activation, last: Activation
) -> tuple[Model, Model, tuple[int, ...]]:
    """A level of the encoder, that of the decoder, and the shape between them."""
    del name
    features = prod(shape)
    forward = chain({"flatten": flatten, "map": linear(features, width), "activation": activation})
    backward = chain({"map": linear(width, features), "shape": _shaped(shape), "activation": last})
    return forward, backward, (width,)


def _convolutional(
    name: str, shape: tuple[int, ...], width: int, activation: Activation, last: Activation
) -> tuple[Model, Model, tuple[int, ...]]:
    """As `_dense`; images are halved."""
    if len(shape) != 3 or shape[0] % 2 or shape[1] % 2:
        raise UsageError(
            f"{name} cannot halve examples of shape {shape}: where it is convolutional, sides must "
            "be divisible by 2 for each of its widths"
        )
    height, columns, channels = shape
    forward = chain({"map": conv(channels, width, 4, stride=2), "activation": activation})
    backward = chain({"map": deconv(width, channels), "activation": last})
    return forward, backward, (height // 2, columns // 2, width)


def _shaped(shape: tuple[int, ...]) -> Layer:
    """Vectors as arrays of this shape."""

    def reshape(x: Array) -> Array:
        return x.reshape(x.shape[0], *shape)

    return reshape
