"""The multi-layer perceptron."""

from collections.abc import Sequence
from math import prod

import jax
import jax.numpy as jnp
from jaxtyping import Float, Shaped

from dl_jax.functional import (
    Activation,
    Initializer,
    dense,
    dropout,
    he_normal,
    lecun_normal,
    relu,
    zeros,
)
from dl_jax.models.model import Model, check_inputs, check_sizes, layer_key, uses_dropout
from dl_jax.types import Array, Params, PRNGKey, Scalar, State


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
    drops = uses_dropout(dropout_rate)
    depth = len(widths)

    def init(key: PRNGKey) -> tuple[Params, State]:
        keys = jax.random.split(key, depth + 1)
        names = [*(f"dense{i}" for i in range(1, depth + 1)), "head"]
        inits = [*[kernel_init] * depth, lecun_normal]
        return {
            name: {"kernel": init(k, (fan_in, units)), "bias": zeros(k, (units,))}
            for name, init, k, fan_in, units in zip(
                names, inits, keys, sizes[:-1], sizes[1:], strict=True
            )
        }, {}

    def apply(
        params: Params,
        state: State,
        inputs: Shaped[Array, "batch ..."],
        *,
        train: bool,
        key: PRNGKey | None = None,
    ) -> tuple[Float[jax.Array, "batch classes"], State]:
        check_inputs("mlp", inputs, input_shape)
        x = jnp.asarray(inputs).reshape(inputs.shape[0], sizes[0])  # [B, F]
        for i in range(1, depth + 1):
            x = activation(dense(x, **params[f"dense{i}"]))
            if train and drops:
                x = dropout(x, dropout_rate, key=layer_key(key, i))
        return dense(x, **params["head"]), state

    return Model(init, apply)
