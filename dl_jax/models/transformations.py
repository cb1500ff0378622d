"""Functions that take a model and give a model."""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import DTypeLike, Float, Shaped, UInt8

from dl_jax.errors import UsageError
from dl_jax.models.chain import SHORTCUT
from dl_jax.models.layers import from_function
from dl_jax.models.model import Carry, Logits, Model, Output, Stepper
from dl_jax.types import Array, Count, Params, PRNGKey, State, Tree

PREPROCESS = "preprocess"
"""Name of the layer that `with_preprocessing` puts before the others."""


def with_preprocessing(model: Model, preprocess: Callable[[Any], Any]) -> Model:
    """`model` applied to `preprocess(inputs)`.

    Images are stored as uint8 and models take floats:
    `with_preprocessing(cnn(...), standardize(mean, std))`. With a compute type it stands outside,
    `with_preprocessing(with_compute_dtype(model, ...), ...)`, and computes in float32.

    Where the model has layers, `preprocess` is the first of them. A stepper is dropped.

    Raises:
        UsageError: a layer of the model after the first is called `preprocess`.
    """

    def apply(
        params: Params, state: State, inputs: Tree, *, train: bool, key: PRNGKey | None = None
    ) -> tuple[Output, State]:
        return model.apply(params, state, preprocess(inputs), train=train, key=key)

    if PREPROCESS in list(model.layers)[1:]:
        raise UsageError(
            f"a layer of the model is called {PREPROCESS!r}, as the one that with_preprocessing "
            "puts first: rename it"
        )
    layers = {PREPROCESS: from_function(preprocess)} if model.layers else {}
    for name, layer in model.layers.items():
        # These two take the model's inputs, the others the output of the layer before them.
        takes_inputs = name in (PREPROCESS, SHORTCUT)
        layers[name] = with_preprocessing(layer, preprocess) if takes_inputs else layer
    return Model(model.init, apply, MappingProxyType(layers))


def with_compute_dtype(model: Model, dtype: DTypeLike) -> Model:
    """`model` computing in `dtype`; its parameters and outputs remain float32.

    This is also so for its layers, and for its stepper, whose carry is in `dtype`.

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

    def apply(
        params: Params, state: State, inputs: Tree, *, train: bool, key: PRNGKey | None = None
    ) -> tuple[Output, State]:
        output, state = model.apply(
            _cast(params, dtype), state, _cast(inputs, dtype), train=train, key=key
        )
        return _cast(output, jnp.float32), _cast(state, jnp.float32)

    layers = {name: with_compute_dtype(layer, dtype) for name, layer in model.layers.items()}
    stepper = None if model.stepper is None else _stepper_in(model.stepper, dtype)
    attention = None if model.attention is None else _attention_in(model.attention, dtype)
    return Model(model.init, apply, MappingProxyType(layers), stepper, attention)


def with_frozen_statistics(model: Model) -> Model:
    """`model` as in evaluation, also in training: its parameters can be trained, its state not.

    Batch normalization uses the running statistics and does not move them, and nothing is dropped.
    For a pretrained network whose statistics a small dataset, or small batches, would spoil; as a
    layer of a chain, it is the only one that is frozen.
    """

    def apply(
        params: Params, state: State, inputs: Tree, *, train: bool, key: PRNGKey | None = None
    ) -> tuple[Output, State]:
        del train
        return model.apply(params, state, inputs, train=False, key=key)

    layers = {name: with_frozen_statistics(layer) for name, layer in model.layers.items()}
    return Model(model.init, apply, MappingProxyType(layers), model.stepper, model.attention)


def with_mirrored_evaluation(model: Model) -> Model:
    """`model`, whose output in evaluation is the mean over each image and its mirror image.

    In training it is the model itself. It has no layers: what they compute is not a mean.

    Source: Krizhevsky et al. (2012), "ImageNet classification with deep convolutional neural
    networks", section 4.1, with the flips alone.
    """

    def apply(
        params: Params, state: State, inputs: Array, *, train: bool, key: PRNGKey | None = None
    ) -> tuple[Output, State]:
        output, new_state = model.apply(params, state, inputs, train=train, key=key)
        if train:
            return output, new_state
        mirrored, _ = model.apply(params, state, inputs[:, :, ::-1], train=False, key=key)
        return jax.tree.map(lambda a, b: (a + b) / 2, output, mirrored), new_state

    return Model(model.init, apply)


def to_unit(images: Shaped[Array, "..."]) -> Float[jax.Array, "..."]:
    """The pixels of uint8 images in [0, 1], in float32."""
    return jnp.asarray(images, jnp.float32) / 255


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


def _attention_in(attention: Callable[..., jax.Array], dtype: DTypeLike) -> Callable:
    """`attention` computing in `dtype`; its weights are float32."""

    def weights(params: Params, inputs: Tree) -> jax.Array:
        return attention(_cast(params, dtype), _cast(inputs, dtype)).astype(jnp.float32)

    return weights


def _stepper_in(stepper: Stepper, dtype: DTypeLike) -> Stepper:
    """`stepper` computing in `dtype`; its logits are float32."""

    def start(params: Params, batch_size: Count, max_length: Count, context: Tree = None) -> Carry:
        carry = stepper.start(_cast(params, dtype), batch_size, max_length, _cast(context, dtype))
        return _cast(carry, dtype)

    def step(
        params: Params, carry: Carry, tokens: Array, lengths: Array | None = None
    ) -> tuple[Carry, Logits]:
        carry, logits = stepper.step(_cast(params, dtype), carry, tokens, lengths)
        return _cast(carry, dtype), _cast(logits, jnp.float32)

    def prepare(params: Params) -> Params:
        return stepper.prepare(_cast(params, dtype))

    return Stepper(start, step, prepare)


def _cast(tree: Tree, dtype: DTypeLike) -> Tree:
    """Floating-point leaves in `dtype`."""
    return jax.tree.map(
        lambda leaf: leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, tree
    )
