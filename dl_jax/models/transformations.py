"""Functions that take a model and give a model."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, DTypeLike, Float, UInt8

from dl_jax.models.model import Model, Output
from dl_jax.types import Params, PRNGKey, State, Tree


def with_preprocessing(model: Model, preprocess: Callable[[Array], Array]) -> Model:
    """`model`, applied to `preprocess(inputs)`: bytes are stored, numbers trained on."""

    def apply(
        params: Params, state: State, inputs: Array, *, train: bool, key: PRNGKey | None = None
    ) -> tuple[Output, State]:
        return model.apply(params, state, preprocess(inputs), train=train, key=key)

    return Model(model.init, apply)


def with_compute_dtype(model: Model, dtype: DTypeLike) -> Model:
    """`model` computing in `dtype`, its parameters and its outputs remaining float32.

    Source: Micikevicius et al. (2017), arXiv:1710.03740, section 3.1 (master weights). In bfloat16,
    whose exponent is float32's, no loss scaling is needed.
    """
    if jnp.dtype(dtype) == jnp.float32:
        return model

    def cast(tree: Tree, to: DTypeLike) -> Tree:
        return jax.tree.map(
            lambda leaf: leaf.astype(to) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, tree
        )

    def apply(
        params: Params, state: State, inputs: Array, *, train: bool, key: PRNGKey | None = None
    ) -> tuple[Output, State]:
        output, state = model.apply(
            cast(params, dtype), state, cast(inputs, dtype), train=train, key=key
        )
        return cast(output, jnp.float32), cast(state, jnp.float32)

    return Model(model.init, apply)


def standardize(
    mean: Float[np.ndarray, " channels"], deviation: Float[np.ndarray, " channels"]
) -> Callable[[UInt8[Array, "... channels"]], Float[Array, "... channels"]]:
    """The function `(images / 255 - mean) / deviation`, channel by channel, in float32.

    Args:
        mean: of each channel, for images scaled to [0, 1].
        deviation: standard deviation of each channel, likewise.
    """
    scale = np.float32(1 / 255) / deviation
    offset = -mean / deviation

    def function(images: UInt8[Array, "... channels"]) -> Float[Array, "... channels"]:
        factors = jnp.broadcast_to(scale, images.shape)
        return images.astype(jnp.float32) * factors + jnp.broadcast_to(offset, images.shape)

    return function
