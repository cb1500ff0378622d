"""Functions that take a model and give a model."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import DTypeLike, Float, Shaped, UInt8

from dl_jax.errors import UsageError
from dl_jax.models.model import Model, Output
from dl_jax.types import Array, Params, PRNGKey, State, Tree


def with_preprocessing(model: Model, preprocess: Callable[[Array], Array]) -> Model:
    """`model` applied to `preprocess(inputs)`.

    Images are stored as uint8 and models take floats:
    `with_preprocessing(cnn(...), standardize(mean, std))`.
    """

    def apply(
        params: Params, state: State, inputs: Array, *, train: bool, key: PRNGKey | None = None
    ) -> tuple[Output, State]:
        return model.apply(params, state, preprocess(inputs), train=train, key=key)

    return Model(model.init, apply)


def with_compute_dtype(model: Model, dtype: DTypeLike) -> Model:
    """`model` computing in `dtype`; its parameters and outputs remain float32.

    Raises:
        UsageError: `dtype` is not a floating-point type.

    Source: Micikevicius et al. (2017), arXiv:1710.03740, section 3.1 (master weights). In bfloat16,
    whose exponent is float32's, no loss scaling is needed.
    """
    try:
        floating = jnp.issubdtype(jnp.dtype(dtype), jnp.floating)
    except TypeError:
        floating = False
    if not floating:
        raise UsageError(f"dtype is {dtype!r}, expected a floating-point type such as 'bfloat16'")
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
    mean: Float[np.ndarray, " channels"], std: Float[np.ndarray, " channels"]
) -> Callable[[UInt8[Array, "... channels"]], Float[jax.Array, "... channels"]]:
    """The function `(images / 255 - mean) / std`, channel by channel, in float32.

    It takes uint8 images alone: floats would be divided by 255 a second time.

    Args:
        mean: of each channel, for images scaled to [0, 1].
        std: standard deviation of each channel, for images scaled to [0, 1].

    Raises:
        UsageError: the statistics differ in length, or a std is not positive; and, when the
            function is called, the images are not uint8 or have another number of channels.
    """
    finite = np.isfinite(mean).all() and np.isfinite(std).all()
    if mean.shape != std.shape or mean.ndim != 1 or not (finite and (std > 0).all()):
        raise UsageError(
            f"mean is {mean} and std is {std}, expected a finite mean and a positive "
            "std of each channel"
        )
    scale = np.float32(1 / 255) / std
    offset = -mean / std

    def function(images: Shaped[Array, "... channels"]) -> Float[jax.Array, "... channels"]:
        if images.dtype != jnp.uint8 or images.shape[-1:] != mean.shape:
            raise UsageError(
                f"standardize got images of type {images.dtype} and shape {images.shape}, expected "
                f"uint8 (0 to 255) with {mean.size} channels in the last axis"
            )
        factors = jnp.broadcast_to(scale, images.shape)
        return jnp.asarray(images, jnp.float32) * factors + jnp.broadcast_to(offset, images.shape)

    return function
