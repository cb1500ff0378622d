"""What a model is: two pure functions."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
from jax.core import Tracer
from jaxtyping import Array

from dl_jax.errors import check_range
from dl_jax.types import Params, PRNGKey, State

Output: TypeAlias = Any


class Model(NamedTuple):
    """A network as a pair of pure functions.

    init: `init(key) -> (params, state)`.
    apply: `apply(params, state, inputs, *, train, key=None) -> (output, state)`. `train` chooses
        between the two behaviors of layers such as dropout, which then consume `key`.
    """

    init: Callable[[PRNGKey], tuple[Params, State]]
    apply: Callable[..., tuple[Output, State]]


def uses_dropout(rate: float | Array) -> bool:
    """Whether a network drops at this rate; a traced rate, as in a sweep, always counts as one.

    Raises:
        UsageError: a concrete rate lies outside [0, 1).
    """
    if isinstance(rate, Tracer):
        return True
    check_range("dropout_rate", float(rate), low=0, high=1, exclusive_high=True)
    return bool(rate > 0)


def layer_key(key: PRNGKey | None, layer: int) -> PRNGKey:
    """The random key of one layer, while training.

    Raises:
        ValueError: no key was given.
    """
    if key is None:
        raise ValueError("this model draws random numbers while training: apply needs `key=`")
    return jax.random.fold_in(key, layer)
