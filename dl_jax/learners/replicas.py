"""Many runs in one compiled program: over seeds, and over values of hyperparameters."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from dl_jax.errors import UsageError
from dl_jax.learners.learner import Learner, TrainState
from dl_jax.learners.metrics import Metrics
from dl_jax.types import Batch, Params, PRNGKey, State

Grid = Mapping[str, Array | np.ndarray | Sequence[float | int]]


def over_seeds(learner: Learner, count: int) -> Learner:
    """`count` independent runs of a learner, side by side in one program.

    Run `i` starts from `fold_in(key, i)`: it is the same run whatever the count. Every array of
    the state, and each training batch, has the runs as its first axis; evaluation batches are
    shared.
    """
    if count < 1:
        raise UsageError(f"seeds is {count}, expected at least 1")

    def init(key: PRNGKey) -> TrainState:
        return jax.vmap(lambda run: learner.init(jax.random.fold_in(key, run)))(jnp.arange(count))

    def eval_step(state: TrainState, batch: Batch) -> Metrics:
        return jax.vmap(learner.eval_step, in_axes=(0, None))(state, batch)

    return Learner(init, jax.vmap(learner.train_step), eval_step)


def over_hyperparameters(make_learner: Callable[..., Learner], grid: Grid) -> Learner:
    """A sweep in one program: run `i` is `make_learner(**{name: grid[name][i]})`.

    `make_learner` is traced under `vmap`, so any number that it takes can be swept: learning rate,
    decay, dropout rate, label smoothing. All runs start from the same key, so that the values are
    the only difference at the start.

    Args:
        make_learner: makes a learner from values.
        grid: equally long arrays under the names of `make_learner`'s arguments; `product` makes
            one of all combinations.

    Raises:
        UsageError: the grid is empty or its arrays differ in length.
    """
    values = {name: jnp.asarray(value) for name, value in grid.items()}
    lengths = {name: value.shape[0] if value.ndim else 0 for name, value in values.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise UsageError(
            f"the grid has arrays of lengths {lengths}, expected one common length of at least 1"
        )

    def init(key: PRNGKey) -> TrainState:
        return jax.vmap(lambda value: make_learner(**value).init(key))(values)

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        def step(value: dict[str, Any], state: TrainState, batch: Batch) -> Any:
            return make_learner(**value).train_step(state, batch)

        return jax.vmap(step)(values, state, batch)

    def eval_step(state: TrainState, batch: Batch) -> Metrics:
        def step(value: dict[str, Any], state: TrainState) -> Metrics:
            return make_learner(**value).eval_step(state, batch)

        return jax.vmap(step)(values, state)

    return Learner(init, train_step, eval_step)


def product(axes: Grid) -> dict[str, Array]:
    """The grid of all combinations, the last name varying fastest.

    >>> {name: v.tolist() for name, v in product({"a": [1, 2], "b": [3, 4]}).items()}
    {'a': [1, 1, 2, 2], 'b': [3, 4, 3, 4]}
    """
    combinations = list(itertools.product(*axes.values()))
    return {name: jnp.asarray([c[i] for c in combinations]) for i, name in enumerate(axes)}


def flatten_replicas(state: TrainState) -> tuple[Params, State]:
    """Parameters and model state of all runs in one leading axis, also of a single run."""
    axes = state.step.ndim

    def flat(leaf: Array) -> Array:
        return leaf.reshape(-1, *leaf.shape[axes:])

    return jax.tree.map(flat, (state.params, state.model_state))
