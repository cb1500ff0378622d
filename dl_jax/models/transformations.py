"""Functions that take a model and give a model."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, DTypeLike

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
