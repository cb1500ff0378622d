"""The multi-layer perceptron."""

from collections.abc import Sequence
from math import prod

import jax
from jaxtyping import Array, Float

from dl_jax.errors import UsageError
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
from dl_jax.models.model import Model, layer_key, uses_dropout
from dl_jax.types import Params, PRNGKey, State


def mlp(
    input_shape: Sequence[int],
    widths: Sequence[int],
    num_classes: int,
    *,
    activation: Activation = relu,
    dropout_rate: float | Float[Array, ""] = 0.0,
    kernel_init: Initializer = he_normal,
) -> Model:
    """Dense layers with an activation and dropout after each but the last.

    Args:
        input_shape: shape of one example, flattened on entry: `(28, 28, 1)` or `(64,)`.
        widths: units of each hidden layer; empty for a linear classifier.
        num_classes: units of the last layer, whose outputs are logits.
        activation: applied after each hidden layer.
        dropout_rate: probability of dropping a hidden unit while training, in [0, 1).
        kernel_init: initial kernels of the hidden layers; that of the last, `head`, has variance
            `1 / fan_in`, and biases start at zero.

    Raises:
        UsageError: a width or the rate is out of range.

    Source: Rumelhart, Hinton and Williams (1986), "Learning representations by back-propagating
    errors".
    """
    sizes = [prod(input_shape), *widths, num_classes]
    if min(sizes) < 1:
        raise UsageError(f"mlp layer sizes are {sizes}, expected positive integers")
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
        inputs: Float[Array, "batch ..."],
        *,
        train: bool,
        key: PRNGKey | None = None,
    ) -> tuple[Float[Array, "batch classes"], State]:
        x = inputs.reshape(inputs.shape[0], -1)  # [B, F]
        for i in range(1, depth + 1):
            x = activation(dense(x, **params[f"dense{i}"]))
            if train and drops:
                x = dropout(x, dropout_rate, key=layer_key(key, i))
        return dense(x, **params["head"]), state

    return Model(init, apply)
