"""Layers as models: `functional` with initial parameters, for `chain`.

A layer has another name than its function: `conv` applies `conv2d`, `deconv` applies
`conv2d_transpose`, `linear` applies `dense`, `norm` applies `batch_norm`, `drop` applies `dropout`.
Activations and pools are functions of one array, and layers as they are.
"""

from collections.abc import Callable, Sequence
from functools import partial
from math import prod

import jax
import jax.numpy as jnp
from jaxtyping import Float

from dl_jax.functional import (
    Initializer,
    batch_norm,
    conv2d,
    conv2d_transpose,
    dense,
    dropout,
    he_normal,
    lecun_normal,
    zeros,
)
from dl_jax.functional.windows import CountOrPair, Padding, as_pair
from dl_jax.models.model import Model, Output, check_sizes, required_key, uses_dropout
from dl_jax.types import Array, Params, PRNGKey, Scalar, State, Tree


def conv(
    in_channels: int,
    filters: int,
    kernel_size: CountOrPair = 3,
    *,
    stride: CountOrPair = 1,
    padding: Padding = "SAME",
    bias: bool = True,
    kernel_init: Initializer = he_normal,
) -> Model:
    """A convolution of images, `[B, H, W, in_channels]` to `[B, H', W', filters]`.

    Parameters: `kernel` `[height, width, in_channels, filters]`, and `bias` `[filters]`.

    Args:
        in_channels: channels of its input.
        filters: channels of its output.
        kernel_size: height and width of the kernel, in pixels.
        stride: distance in pixels between outputs.
        padding: as for `conv2d`.
        bias: whether there is one; it starts at zero. Before a `norm` it has no effect.
        kernel_init: initial kernel; the default is made for a ReLU that follows.

    Raises:
        UsageError: a size is not a positive integer.
        ValueError: `kernel_size` is neither a positive integer nor a pair of them.
    """
    window = as_pair("kernel_size", kernel_size)
    shape = (*window, in_channels, filters)
    check_sizes(f"conv sizes are {in_channels=}, {filters=}", shape)
    function = partial(conv2d, stride=stride, padding=padding)
    return from_function(function, _affine(shape, bias, kernel_init))


def deconv(
    in_channels: int,
    filters: int,
    kernel_size: CountOrPair = 4,
    *,
    stride: CountOrPair = 2,
    padding: Padding = "SAME",
    bias: bool = True,
    kernel_init: Initializer = he_normal,
) -> Model:
    """A transposed convolution of images, `[B, H, W, in_channels]` to `[B, s H, s W, filters]`.

    Parameters: `kernel` `[height, width, in_channels, filters]`, and `bias` `[filters]`.

    Args:
        in_channels: channels of its input.
        filters: channels of its output.
        kernel_size: height and width of the kernel, in pixels; a multiple of the stride makes all
            pixels of the output sums of as many.
        stride: by which images grow.
        padding: as for `conv2d_transpose`.
        bias: whether there is one; it starts at zero. Before a `norm` it has no effect.
        kernel_init: initial kernel. A pixel of the output is a sum over only `1 / stride^2` of the
            kernel's inputs: the kernel is drawn for that many.

    Raises:
        UsageError: a size is not a positive integer.
        ValueError: `kernel_size` or `stride` is neither a positive integer nor a pair of them.
    """
    window, strides = as_pair("kernel_size", kernel_size), as_pair("stride", stride)
    shape = (*window, in_channels, filters)
    check_sizes(f"deconv sizes are {in_channels=}, {filters=}", shape)

    def enlarged(key: PRNGKey, shape: Sequence[int]) -> Float[jax.Array, "..."]:
        return kernel_init(key, shape) * prod(strides) ** 0.5

    function = partial(conv2d_transpose, stride=stride, padding=padding)
    return from_function(function, _affine(shape, bias, enlarged))


def linear(
    in_features: int,
    units: int,
    *,
    bias: bool = True,
    kernel_init: Initializer = lecun_normal,
) -> Model:
    """An affine map of the last axis, `[..., in_features]` to `[..., units]`.

    Parameters: `kernel` `[in_features, units]`, and `bias` `[units]`.

    Args:
        in_features: features of its input.
        units: features of its output.
        bias: whether there is one; it starts at zero. Before a `norm` it has no effect.
        kernel_init: initial kernel; the default keeps the variance, as a last layer should. Where a
            ReLU follows, use `he_normal`.

    Raises:
        UsageError: a size is not a positive integer.
    """
    shape = (in_features, units)
    check_sizes(f"linear sizes are {in_features=}, {units=}", shape)
    return from_function(dense, _affine(shape, bias, kernel_init))


def ones(key: PRNGKey, shape: Sequence[int]) -> Float[jax.Array, "..."]:
    """All ones, the usual initial scale; the key is not used."""
    del key
    return jnp.ones(shape)


def norm(
    features: int,
    *,
    momentum: Scalar = 0.9,
    epsilon: Scalar = 1e-5,
    scale_init: Initializer = ones,
) -> Model:
    """Batch normalization of the last axis, `[B, features]` or `[B, H, W, features]`.

    Parameters: `scale` and `bias`, `[features]`. State: the running statistics `mean` and `var`,
    `[features]`, which training updates and evaluation uses.

    Args:
        features: length of the last axis.
        momentum: share of the running statistics that is kept at each step, in [0, 1].
        epsilon: added to the variance.
        scale_init: initial scale. With `zeros` in the last layer of a residual branch, the block
            starts as its shortcut (Goyal et al., 2017, arXiv:1706.02677, section 5.1).

    Raises:
        UsageError: a size is not a positive integer.
    """
    shape = (features,)
    check_sizes(f"norm sizes are {features=}", shape)

    def init(key: PRNGKey) -> tuple[Params, State]:
        params = {"scale": scale_init(key, shape), "bias": jnp.zeros(shape)}
        return params, {"mean": jnp.zeros(shape), "var": jnp.ones(shape)}

    def apply(
        params: Params, state: State, inputs: Array, *, train: bool, key: PRNGKey | None = None
    ) -> tuple[Output, State]:
        del key
        return batch_norm(
            inputs, **params, **state, train=train, momentum=momentum, epsilon=epsilon
        )

    return Model(init, apply)


def drop(rate: Scalar) -> Model:
    """Dropout: in training, each element is zero with probability `rate`.

    Args:
        rate: in [0, 1). It may be traced, as in a sweep; a concrete 0 needs no random key.

    Raises:
        UsageError: the rate is out of range.
        ValueError: there is no random key in training.
    """
    drops = uses_dropout(rate)

    def apply(
        params: Params, state: State, inputs: Array, *, train: bool, key: PRNGKey | None = None
    ) -> tuple[Output, State]:
        del params, state
        if not (train and drops):
            return inputs, {}
        return dropout(inputs, rate, key=required_key(key)), {}

    return Model(lambda _: ({}, {}), apply)


def flatten(x: Float[Array, "batch ..."]) -> Float[jax.Array, "batch features"]:
    """Each example as one vector.

    >>> flatten(jnp.ones((2, 4, 4, 3))).shape
    (2, 48)
    """
    return jnp.asarray(x).reshape(x.shape[0], prod(x.shape[1:]))


def from_function(
    function: Callable[..., Output], init: Callable[[PRNGKey], Params] = lambda _: {}
) -> Model:
    """`function(inputs, **params)` as a model, without state or randomness.

    Args:
        function: of the inputs and, by name, the parameters.
        init: `init(key) -> params`; without it there are none.

    >>> double = from_function(lambda x, scale: scale * x, lambda key: {"scale": 2.0})
    >>> double.apply({"scale": 2.0}, {}, 3.0, train=False)
    (6.0, {})
    """

    def apply(
        params: Params, state: State, inputs: Tree, *, train: bool, key: PRNGKey | None = None
    ) -> tuple[Output, State]:
        del state, train, key
        return function(inputs, **params), {}

    return Model(lambda key: (init(key), {}), apply)


def _affine(
    shape: tuple[int, ...], bias: bool, kernel_init: Initializer
) -> Callable[[PRNGKey], Params]:
    """Initial values of a kernel, and of a bias if there is one."""

    def init(key: PRNGKey) -> Params:
        params = {"kernel": kernel_init(key, shape)}
        return {**params, "bias": zeros(key, shape[-1:])} if bias else params

    return init
