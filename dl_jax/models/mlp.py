"""The multi-layer perceptron."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from math import prod

from dl_jax.functional import Activation, Initializer, he_normal, relu
from dl_jax.models.chain import Layer, chain
from dl_jax.models.layers import drop, flatten, linear
from dl_jax.models.model import Model, check_inputs, check_sizes
from dl_jax.types import Scalar


def mlp(
    input_shape: Sequence[int],
    widths: Sequence[int],
    num_classes: int,
    *,
    activation: Activation = relu,
    dropout_rate: Scalar = 0.0,
    kernel_init: Initializer = he_normal,
) -> Model:
    """Dense layers with an activation and dropout after each but the last.

    Args:
        input_shape: shape of one example, such as `(28, 28, 1)` or `(64,)`; it is flattened.
        widths: units of each hidden layer; empty for a linear classifier.
        num_classes: units of the last layer, whose outputs are logits.
        activation: applied after each hidden layer.
        dropout_rate: probability of dropping a hidden unit while training, in [0, 1).
        kernel_init: initial kernels of the hidden layers; that of the last, `head`, has variance
            `1 / fan_in`, and biases start at zero.

    Raises:
        UsageError: a size or the rate is out of range; and, when the model is applied, the inputs
            are integers or do not have `input_shape`.

    Source: Rumelhart, Hinton and Williams (1986), "Learning representations by back-propagating
    errors".
    """
    described = f"mlp sizes are {input_shape=}, {widths=}, {num_classes=}"
    check_sizes(described, input_shape, widths, (num_classes,))
    sizes = [prod(input_shape), *widths, num_classes]
    check_sizes(f"mlp layer sizes are {sizes}", sizes)
    return chain(
        {
            "inputs": partial(check_inputs, "mlp", input_shape),
            "flatten": flatten,
            **dense_layers(sizes, activation, dropout_rate, kernel_init),
        }
    )


def dense_layers(
    sizes: Sequence[int], activation: Activation, dropout_rate: Scalar, kernel_init: Initializer
) -> dict[str, Layer]:
    """`dense1`, `activation1`, `drop1` and so on, and last `head`, which has logits.

    Args:
        sizes: features of the input, units of each hidden layer, and classes.
        activation: applied after each hidden layer.
        dropout_rate: of each hidden layer.
        kernel_init: initial kernels of the hidden layers.
    """
    layers: dict[str, Layer] = {}
    for i, (features, units) in enumerate(pairwise(sizes[:-1]), 1):
        layers |= {
            f"dense{i}": linear(features, units, kernel_init=kernel_init),
            f"activation{i}": activation,
            f"drop{i}": drop(dropout_rate),
        }
    return {**layers, "head": linear(*sizes[-2:])}
