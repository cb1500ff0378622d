"""What a model is: two pure functions."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax

from dl_jax.types import Params, PRNGKey, State

Output: TypeAlias = Any


class Model(NamedTuple):
    """A network as a pair of pure functions.

    init: `init(key) -> (params, state)`.
    apply: `apply(params, state, inputs, *, train, key=None) -> (output, state)`. `train` chooses
        between the two behaviours of layers such as dropout, which then consume `key`.
    """

    init: Callable[[PRNGKey], tuple[Params, State]]
    apply: Callable[..., tuple[Output, State]]


def layer_key(key: PRNGKey | None, layer: int) -> PRNGKey:
    """The random key of one layer, while training.

    Raises:
        ValueError: no key was given.
    """
    if key is None:
        raise ValueError("this model draws random numbers while training: apply needs `key=`")
    return jax.random.fold_in(key, layer)
