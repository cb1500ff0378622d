"""A model: two pure functions, with its layers and its steps where it has them."""

import operator
import zlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from dl_jax.concrete import check_concrete, is_concrete
from dl_jax.errors import MAX_INTEGER, UsageError
from dl_jax.types import Array, Params, PRNGKey, Scalar, State, Tree

Output: TypeAlias = Any
Carry: TypeAlias = Tree
Logits: TypeAlias = Array


def _unchanged(params: Params) -> Params:
    return params


class Stepper(NamedTuple):
    """How a model generates a sequence, token by token; the same for every architecture.

    start: `start(params, batch_size, max_length, context=None) -> carry`. The carry is what the
        model remembers of a sequence, before its first token: a hidden state, or a key-value cache
        with room for `max_length` tokens. Every leaf has the batch axis first, so that beam search
        can reorder rows: `jax.tree.map(lambda leaf: leaf[rows], carry)`. `context` is what the
        sequence depends on, such as a sentence to translate, again with the batch axis first.
    step: `step(params, carry, tokens, lengths=None) -> (carry, logits)`. Tokens are
        `[batch, time]`: one per row in generation, several in a prefill, which reads a whole prompt
        at once. `lengths`, `[batch]`, at least 1, says how many tokens of each row count, from the
        left; the others are padding and leave no trace in the carry; None counts all. Logits are
        `[batch, vocabulary]`, those after each row's last token that counts. The carry keeps its
        shapes and types, so that `jax.lax.scan` can pass it on.
    prepare: `prepare(params) -> params`, as `step` takes them too, and faster where it is called
        many times: what does not depend on the tokens is done once.

    A prefill of several tokens and as many steps of one token give the same carry and logits.
    """

    start: Callable[..., Carry]
    step: Callable[..., tuple[Carry, Logits]]
    prepare: Callable[[Params], Params] = _unchanged


class Model(NamedTuple):
    """A network, or a layer of one, as a pair of pure functions.

    init: `init(key) -> (params, state)`.
    apply: `apply(params, state, inputs, *, train, key=None) -> (output, state)`. `train` chooses
        between the two behaviors of layers such as dropout, which then consume `key`.
    layers: what `apply` is made of, by name and in order, where the model is a `chain` or a
        `residual`; `features` reads it. A model with another `apply` has other layers, or none.
    stepper: generation token by token, of models that can.
    attention: `attention(params, inputs) -> weights`, of models that attend: how much the heads of
        each layer attend, `[layers, batch, heads, time, source]`, to be looked at.
    """

    init: Callable[[PRNGKey], tuple[Params, State]]
    apply: Callable[..., tuple[Output, State]]
    layers: Mapping[str, "Model"] = MappingProxyType({})
    stepper: Stepper | None = None
    attention: Callable[[Params, Any], jax.Array] | None = None


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


def check_inputs(name: str, input_shape: Sequence[int], inputs: Array) -> jax.Array:
    """`inputs`, if this batch is what a model was made for; the first layer of a chain.

    It is used as `"inputs": partial(check_inputs, "cnn", (28, 28, 1))`.

    Raises:
        UsageError: the inputs are no floats, or an example does not have `input_shape`.
    """
    _check_floats(name, inputs)
    if inputs.shape[1:] != tuple(input_shape):
        expected = ", ".join(["batch", *map(str, input_shape)])
        raise UsageError(
            f"{name} got inputs of shape {inputs.shape}, expected ({expected}): its input_shape"
        )
    return jnp.asarray(inputs)


def check_channels(name: str, channels: int, inputs: Array) -> jax.Array:
    """`inputs`, if they are images of any size with as many channels as a model was made for.

    Raises:
        UsageError: the inputs are no floats, no images, or have other channels.
    """
    _check_floats(name, inputs)
    if inputs.ndim != 4 or inputs.shape[-1] != channels:
        raise UsageError(
            f"{name} got inputs of shape {inputs.shape}, expected (batch, height, width, "
            f"{channels}): its in_channels"
        )
    return jnp.asarray(inputs)


def _check_floats(name: str, inputs: Array) -> None:
    if not jnp.issubdtype(inputs.dtype, jnp.floating):
        raise UsageError(
            f"{name} got inputs of type {inputs.dtype}, expected floats: preprocessing is missing, "
            "as in with_preprocessing(model, standardize(mean, std))"
        )


def layer_key(key: PRNGKey | None, name: str) -> PRNGKey:
    """The random key of the layer called `name`; it depends on nothing but the name and `key`.

    Raises:
        ValueError: there is no key.
    """
    return jax.random.fold_in(required_key(key), checksum(name))


def required_key(key: PRNGKey | None) -> PRNGKey:
    """`key`, in a layer that draws.

    Raises:
        ValueError: there is none.
    """
    if key is None:
        raise ValueError("this model draws random numbers while training: apply needs `key=`")
    return key


def checksum(name: str) -> int:
    """The number that stands for a layer's name in its random key: 32 bits, the crc32."""
    return zlib.crc32(name.encode())
