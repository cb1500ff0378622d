"""Small convolutional networks: blocks of 3x3 convolutions, each followed by a max-pool."""

from collections.abc import Sequence
from functools import partial

from dl_jax.errors import UsageError
from dl_jax.functional import Activation, Initializer, he_normal, max_pool, relu
from dl_jax.models.chain import Layer, chain
from dl_jax.models.layers import conv, drop, flatten
from dl_jax.models.mlp import dense_layers
from dl_jax.models.model import Model, check_inputs, check_sizes
from dl_jax.types import Scalar


def cnn(
    input_shape: Sequence[int],
    blocks: Sequence[Sequence[int]],
    num_classes: int,
    *,
    widths: Sequence[int] = (),
    activation: Activation = relu,
    dropout_rate: Scalar = 0.0,
    kernel_init: Initializer = he_normal,
) -> Model:
    """Blocks of 3x3 convolutions, each followed by a 2x2 max-pool, then dense layers.

    `cnn((28, 28, 1), [(32, 32)], 10)` is conv 32, conv 32, pool, dense 10;
    `cnn((28, 28, 1), [(32, 32), (64, 64)], 10, widths=(256,), dropout_rate=0.3)` has two such
    blocks, dropout after each and after the hidden dense layer.

    Args:
        input_shape: `(height, width, channels)` of one image.
        blocks: filters of each convolution, block by block.
        num_classes: units of the last layer, whose outputs are logits.
        widths: units of each hidden dense layer.
        activation: applied after each convolution and each hidden dense layer.
        dropout_rate: probability of dropping an activation after each block and each hidden
            dense layer while training, in [0, 1).
        kernel_init: initial kernels of all layers but the last; biases start at zero.

    Raises:
        UsageError: the image is too small for this many pools, or a size or the rate is out of
            range; and, when the model is applied, the inputs are integers or do not have
            `input_shape`.

    Source: LeCun et al. (1998), "Gradient-based learning applied to document recognition", with
    the 3x3 kernels of Simonyan and Zisserman (2014), arXiv:1409.1556.
    """
    described = f"cnn sizes are {input_shape=}, {blocks=}, {widths=}, {num_classes=}"
    convolutions = blocks if isinstance(blocks, Sequence) else [blocks]
    check_sizes(described, input_shape, *convolutions, widths, (num_classes,))
    if len(input_shape) != 3:
        raise UsageError(f"input_shape is {input_shape}, expected (height, width, channels)")
    height, width, channels = input_shape
    if min(height, width) >> len(blocks) < 1:
        raise UsageError(
            f"images of {height}x{width} pixels are too small for {len(blocks)} halvings: "
            "use fewer blocks"
        )
    layers: dict[str, Layer] = {"inputs": partial(check_inputs, "cnn", input_shape)}
    for b, block in enumerate(blocks, 1):
        for c, filters in enumerate(block, 1):
            layers[f"conv{b}_{c}"] = conv(channels, filters, kernel_init=kernel_init)
            layers[f"activation{b}_{c}"] = activation
            channels = filters
        layers |= {f"pool{b}": max_pool, f"pool_drop{b}": drop(dropout_rate)}
    pixels = (height >> len(blocks)) * (width >> len(blocks))
    sizes = [pixels * channels, *widths, num_classes]
    dense = dense_layers(sizes, activation, dropout_rate, kernel_init)
    return chain({**layers, "flatten": flatten, **dense})
