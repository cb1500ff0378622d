"""VGG16: thirteen 3x3 convolutions in five blocks, and a classifier of dense layers."""

from collections.abc import Sequence
from functools import partial

from dl_jax.errors import UsageError
from dl_jax.functional import he_normal, max_pool, relu
from dl_jax.models.chain import Layer, chain
from dl_jax.models.layers import conv, drop, flatten, linear, norm
from dl_jax.models.model import Model, check_inputs, check_sizes
from dl_jax.types import Scalar

BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Filters of each convolution, block by block: column D of table 1."""


def vgg16(
    num_classes: int,
    *,
    input_shape: Sequence[int] = (224, 224, 3),
    classifier: Sequence[int] = (4096, 4096),
    batch_norm: bool = False,
    dropout_rate: Scalar = 0.5,
) -> Model:
    """Five blocks of 3x3 convolutions, each followed by a max-pool; hidden dense layers; a head.

    Its three parts are the layers `features`, `classifier` and `head`, so that another head can be
    put on what the others have learned.

    Args:
        num_classes: units of the head, whose outputs are logits.
        input_shape: `(height, width, channels)` of an image, at least 32 pixels on each side.
        classifier: units of each hidden dense layer; with none, the head sees the features.
        batch_norm: normalize after each convolution.
        dropout_rate: probability of dropping an activation after each hidden dense layer while
            training, in [0, 1).

    Raises:
        UsageError: the images are too small for five halvings, or a size or the rate is out of
            range; and, when the model is applied, the images are integers or of another shape.

    Source: Simonyan and Zisserman (2014), arXiv:1409.1556, table 1, column D, and section 3.1;
    `batch_norm`: Ioffe and Szegedy (2015), arXiv:1502.03167.
    """
    described = f"vgg16 sizes are {num_classes=}, {input_shape=}, {classifier=}"
    check_sizes(described, (num_classes,), input_shape, classifier)
    if len(input_shape) != 3:
        raise UsageError(f"input_shape is {input_shape}, expected (height, width, channels)")
    height, width, channels = input_shape
    if min(height, width) < 2 ** len(BLOCKS):
        raise UsageError(
            f"images of {height}x{width} pixels are too small for the five halvings of vgg16, "
            "expected at least 32x32: scale them with image_size (--image-size 32 32)"
        )
    features: dict[str, Layer] = {}
    for b, block in enumerate(BLOCKS, 1):
        for c, filters in enumerate(block, 1):
            features[f"conv{b}_{c}"] = conv(channels, filters, padding=1)
            if batch_norm:
                features[f"norm{b}_{c}"] = norm(filters)
            features[f"relu{b}_{c}"] = relu
            channels = filters
        features[f"pool{b}"] = max_pool
    units = (height >> len(BLOCKS)) * (width >> len(BLOCKS)) * channels
    layers: dict[str, Layer] = {
        "inputs": partial(check_inputs, "vgg16", input_shape),
        "features": chain(features),
        "flatten": flatten,
    }
    hidden: dict[str, Layer] = {}
    for i, size in enumerate(classifier, 1):
        hidden |= {
            f"dense{i}": linear(units, size, kernel_init=he_normal),
            f"relu{i}": relu,
            f"drop{i}": drop(dropout_rate),
        }
        units = size
    if hidden:
        layers["classifier"] = chain(hidden)
    return chain({**layers, "head": linear(units, num_classes)})
