"""Any Flax module as a `Model`, so that a user's own network runs in every experiment."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen, nnx
from jaxtyping import DTypeLike

from dl_jax.models.model import Model, Output
from dl_jax.types import Array, Params, PRNGKey, State


def from_linen(
    module: linen.Module,
    input_shape: Sequence[int],
    *,
    dtype: DTypeLike = jnp.float32,
    train_argument: str | None = "train",
) -> Model:
    """A `flax.linen` module as a `Model`.

    All collections except `params` (such as `batch_stats`) become the model's state; the random
    stream `dropout` gets the step's key.

    Args:
        module: called as `module(inputs, train=...)`.
        input_shape: shape of one example, without the batch axis.
        dtype: type of the inputs.
        train_argument: name of the keyword that is true in training, or None if the module has
            none; `deterministic` receives `not train`.
    """

    def mode(train: bool) -> dict[str, Any]:
        if train_argument is None:
            return {}
        return {train_argument: not train if train_argument == "deterministic" else train}

    def init(key: PRNGKey) -> tuple[Params, State]:
        example = jnp.zeros((1, *input_shape), dtype)
        variables = dict(module.init(key, example, **mode(False)))
        return variables.pop("params", {}), variables

    def apply(
        params: Params, state: State, inputs: Array, *, train: bool, key: PRNGKey | None = None
    ) -> tuple[Output, State]:
        output, updated = module.apply(
            {"params": params, **state},
            inputs,
            **mode(train),
            mutable=list(state) if train else [],
            rngs={} if key is None else {"dropout": key},
        )
        return output, {**state, **updated}

    return Model(init, apply)


def from_nnx(make_module: Callable[[nnx.Rngs], nnx.Module]) -> Model:
    """A `flax.nnx` module as a `Model`.

    Variables of type `nnx.Param` become the parameters, all others except random states the model's
    state. Random layers draw from the step's key.

    Args:
        make_module: builds the module from random streams, as in
            `from_nnx(lambda rngs: MyNetwork(784, 10, rngs=rngs))`.
    """

    def split(module: nnx.Module) -> tuple[Any, ...]:
        return nnx.split(module, nnx.Param, nnx.RngState, ...)

    def init(key: PRNGKey) -> tuple[Params, State]:
        _, params, _, state = split(make_module(nnx.Rngs(key)))
        return nnx.to_pure_dict(params), nnx.to_pure_dict(state)

    def apply(
        params: Params, state: State, inputs: Array, *, train: bool, key: PRNGKey | None = None
    ) -> tuple[Output, State]:
        # The structure is rebuilt while tracing; nothing of it is computed.
        stream = jax.random.key(0) if key is None else key
        graph, old_params, random, old_state = split(make_module(nnx.Rngs(stream)))
        if train and key is None and jax.tree.leaves(random):
            raise ValueError("this module draws random numbers while training: apply needs `key=`")
        nnx.replace_by_pure_dict(old_params, params)
        nnx.replace_by_pure_dict(old_state, state)
        module = nnx.merge(graph, old_params, random, old_state)
        module.train() if train else module.eval()
        output = module(inputs)
        return output, nnx.to_pure_dict(split(module)[3])

    return Model(init, apply)
