"""Networks that are told a class: an embedding of it stands beside their inputs."""

from collections.abc import Sequence
from functools import partial
from math import prod

import jax
import jax.numpy as jnp

from dl_jax.errors import UsageError
from dl_jax.functional import embed
from dl_jax.models.chain import Layer
from dl_jax.models.model import Model, Output, check_inputs
from dl_jax.types import Params, PRNGKey, State, Tree

LABEL_FEATURES = 16
"""Numbers that stand for a class beside a vector; beside an image it is one more channel."""


def inputs_with_label(
    name: str, shape: Sequence[int], num_classes: int | None
) -> tuple[Layer, tuple[int, ...]]:
    """The first layer of a network that may be told a class, and the shape of what it gives.

    Without classes its inputs are checked and passed on. With classes they are a pair, of arrays
    `[batch, *shape]` and of labels, integers `[batch]`: an embedding of the label is put behind a
    vector, or beside an image as one more channel.

    Args:
        name: of the network, for messages.
        shape: of one example, `(features,)` or `(height, width, channels)`.
        num_classes: that it may be told; None is none.

    Source: Mirza and Osindero (2014), arXiv:1411.1784.
    """
    check = partial(check_inputs, name, shape)
    if num_classes is None:
        return check, tuple(shape)
    added = (*shape[:-1], 1 if shape[:-1] else LABEL_FEATURES)

    def init(key: PRNGKey) -> tuple[Params, State]:
        return {"embedding": jax.random.normal(key, (num_classes, prod(added)))}, {}

    def apply(
        params: Params, state: State, inputs: Tree, *, train: bool, key: PRNGKey | None = None
    ) -> tuple[Output, State]:
        del state, train, key
        x, labels = _pair(name, inputs)
        told = embed(labels, params["embedding"]).reshape(-1, *added)
        return jnp.concatenate([check(x), told.astype(x.dtype)], axis=-1), {}

    return Model(init, apply), (*shape[:-1], shape[-1] + added[-1])


def _pair(name: str, inputs: Tree) -> tuple[jax.Array, jax.Array]:
    pair = isinstance(inputs, (tuple, list)) and len(inputs) == 2
    if not pair or not jnp.issubdtype(jnp.asarray(inputs[1]).dtype, jnp.integer):
        raise UsageError(
            f"{name} is told classes, expected a pair: its inputs, and labels that are integers"
        )
    x, labels = map(jnp.asarray, inputs)
    if labels.shape != x.shape[:1]:
        raise UsageError(
            f"{name} got inputs of shape {x.shape} and labels of shape {labels.shape}, expected a "
            "label for each"
        )
    return x, labels
