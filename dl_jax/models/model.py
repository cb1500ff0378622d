"""A model: two pure functions."""

import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from dl_jax.concrete import check_concrete, is_concrete
from dl_jax.errors import MAX_INTEGER, UsageError
from dl_jax.types import Array, Params, PRNGKey, Scalar, State

Output: TypeAlias = Any


class Model(NamedTuple):
    """A network as a pair of pure functions.

    init: `init(key) -> (params, state)`.
    apply: `apply(params, state, inputs, *, train, key=None) -> (output, state)`. `train` chooses
        between the two behaviors of layers such as dropout, which then consume `key`.
    """

    init: Callable[[PRNGKey], tuple[Params, State]]
    apply: Callable[..., tuple[Output, State]]


def uses_dropout(rate: Scalar) -> bool:
    """Whether a network drops at this rate; a traced rate, as in a sweep, always counts as one.

    Raises:
        UsageError: a concrete rate lies outside [0, 1).
    """
    check_concrete("dropout_rate", rate, low=0, high=1, exclusive_high=True)
    return not is_concrete(rate) or bool(rate > 0)


def check_sizes(described: str, *groups: Sequence[int]) -> None:
    """Raise unless all sizes of a network are positive integers that an int32 holds.

    Raises:
        UsageError: begins with `described`, which names the sizes and their values.
    """
    try:
        sizes = [operator.index(size) for group in groups for size in group]
    except TypeError as error:
        raise UsageError(f"{described}, expected sequences of integers") from error
    if not all(1 <= size <= MAX_INTEGER for size in sizes):
        raise UsageError(f"{described}, expected sizes from 1 to {MAX_INTEGER}")


def check_inputs(name: str, inputs: Array, input_shape: Sequence[int]) -> None:
    """Raise unless a batch of inputs is what a model was made for.

    Raises:
        UsageError: the inputs are no floats, or an example does not have `input_shape`.
    """
    if not jnp.issubdtype(inputs.dtype, jnp.floating):
        raise UsageError(
            f"{name} got inputs of type {inputs.dtype}, expected floats: preprocessing is missing, "
            "as in with_preprocessing(model, standardize(mean, std))"
        )
    if inputs.shape[1:] != tuple(input_shape):
        expected = ", ".join(["batch", *map(str, input_shape)])
        raise UsageError(
            f"{name} got inputs of shape {inputs.shape}, expected ({expected}): its input_shape"
        )


def layer_key(key: PRNGKey | None, layer: int) -> PRNGKey:
    """The random key of one layer, while training.

    Raises:
        ValueError: no key was given.
    """
    if key is None:
        raise ValueError("this model draws random numbers while training: apply needs `key=`")
    return jax.random.fold_in(key, layer)
