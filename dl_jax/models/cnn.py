"""Small convolutional networks: blocks of 3x3 convolutions, each followed by a max-pool."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Float, Shaped

from dl_jax.errors import UsageError
from dl_jax.functional import (
    Activation,
    Initializer,
    conv2d,
    dense,
    dropout,
    he_normal,
    lecun_normal,
    max_pool,
    relu,
    zeros,
)
from dl_jax.models.model import Model, check_inputs, check_sizes, layer_key, uses_dropout
from dl_jax.types import Array, Params, PRNGKey, Scalar, State


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
    drops = uses_dropout(dropout_rate)

    def init(key: PRNGKey) -> tuple[Params, State]:
        shapes: dict[str, tuple[int, ...]] = {}
        fan = channels
        for b, block in enumerate(blocks, 1):
            for c, filters in enumerate(block, 1):
                shapes[f"conv{b}_{c}"] = (3, 3, fan, filters)
                fan = filters
        fan *= (height >> len(blocks)) * (width >> len(blocks))
        for d, units in enumerate(widths, 1):
            shapes[f"dense{d}"] = (fan, units)
            fan = units
        keys = jax.random.split(key, len(shapes) + 1)
        params = {
            name: {"kernel": kernel_init(k, shape), "bias": zeros(k, shape[-1:])}
            for (name, shape), k in zip(shapes.items(), keys, strict=False)
        }
        head = {
            "kernel": lecun_normal(keys[-1], (fan, num_classes)),
            "bias": zeros(keys[-1], (num_classes,)),
        }
        return {**params, "head": head}, {}

    def apply(
        params: Params,
        state: State,
        inputs: Shaped[Array, "batch ..."],
        *,
        train: bool,
        key: PRNGKey | None = None,
    ) -> tuple[Float[jax.Array, "batch classes"], State]:
        def drop(x: jax.Array, place: int) -> jax.Array:
            if not (train and drops):
                return x
            return dropout(x, dropout_rate, key=layer_key(key, place))

        check_inputs("cnn", inputs, input_shape)
        x = jnp.asarray(inputs)
        for b, block in enumerate(blocks, 1):
            for c in range(1, len(block) + 1):
                x = activation(conv2d(x, **params[f"conv{b}_{c}"]))
            x = drop(max_pool(x, 2), b)
        x = x.reshape(x.shape[0], math.prod(x.shape[1:]))  # [B, F]
        for d in range(1, len(widths) + 1):
            x = drop(activation(dense(x, **params[f"dense{d}"])), len(blocks) + d)
        return dense(x, **params["head"]), state

    return Model(init, apply)
