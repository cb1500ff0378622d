"""Several replicas of a learner in one compiled program: over seeds and over hyperparameters."""

import inspect
import itertools
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from dl_jax.errors import UsageError, check_integer, nearest
from dl_jax.learners.learner import Learner, TrainState, Weights
from dl_jax.learners.metrics import Metrics
from dl_jax.types import Batch, PRNGKey

MAX_REPLICAS = 65536
Grid = Mapping[str, Array | np.ndarray | Sequence[float | int]]


def over_seeds(learner: Learner, count: int) -> Learner:
    """`count` independent replicas of a learner in one program.

    Replica `i` starts from `fold_in(key, i)`, whatever the count; a `start` is common to all. Every
    array of the state and each training batch has the replicas as its first axis; evaluation
    batches are shared.

    Raises:
        UsageError: `count` is not an integer in [1, 65536].
    """
    check_integer("seeds", count, low=1, high=MAX_REPLICAS)

    def init(key: PRNGKey, start: Weights | None = None) -> TrainState:
        keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(count))
        return jax.vmap(lambda key: learner.init(key, start))(keys)

    def eval_step(state: TrainState, batch: Batch) -> Metrics:
        return jax.vmap(learner.eval_step, in_axes=(0, None))(state, batch)

    return learner._replace(
        init=init,
        train_step=jax.vmap(learner.train_step),
        eval_step=eval_step,
        streams=(count, *learner.streams),
    )


def over_hyperparameters(make_learner: Callable[..., Learner], grid: Grid) -> Learner:
    """A sweep in one program: replica `i` is `make_learner(**{name: grid[name][i]})`.

    `make_learner` is traced under `vmap`, so any number that it takes can be swept: learning rate,
    decay, dropout rate, label smoothing. All points start from the same key and see the same
    batches, so that the values are the only difference between them. Every array of the state has
    the points as its first axis; training batches do not.

    Args:
        make_learner: makes a learner from values. It is also called once with the values of each
            point, so that a value out of range is refused before anything is compiled.
        grid: equally long arrays under the names of `make_learner`'s arguments; `product` makes
            one of all combinations.

    Raises:
        UsageError: the grid is empty, its arrays differ in length or hold no numbers, or
            `make_learner` takes other names.
    """
    values = _checked_grid(make_learner, grid)
    count = len(next(iter(values.values())))
    points = [{name: value[i] for name, value in values.items()} for i in range(count)]
    learners = [make_learner(**point) for point in points]
    streams = {learner.streams for learner in learners}
    if len(streams) > 1:
        raise UsageError(f"the points of a sweep have streams {streams}, expected the same for all")

    def init(key: PRNGKey, start: Weights | None = None) -> TrainState:
        return jax.vmap(lambda point: make_learner(**point).init(key, start))(values)

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        def step(point: dict[str, Any], state: TrainState) -> tuple[TrainState, Metrics]:
            return make_learner(**point).train_step(state, batch)

        return jax.vmap(step)(values, state)

    def eval_step(state: TrainState, batch: Batch) -> Metrics:
        def step(point: dict[str, Any], state: TrainState) -> Metrics:
            return make_learner(**point).eval_step(state, batch)

        return jax.vmap(step)(values, state)

    return learners[0]._replace(init=init, train_step=train_step, eval_step=eval_step)


def product(axes: Grid) -> dict[str, Array]:
    """The grid of all combinations, the last name varying fastest.

    >>> {name: v.tolist() for name, v in product({"a": [1, 2], "b": [3, 4]}).items()}
    {'a': [1, 1, 2, 2], 'b': [3, 4, 3, 4]}
    """
    combinations = list(itertools.product(*axes.values()))
    return {name: jnp.asarray([c[i] for c in combinations]) for i, name in enumerate(axes)}


def flatten_replicas(weights: Weights, replicas: tuple[int, ...]) -> Weights:
    """Parameters and model state with all axes of replicas reshaped into one.

    `[*replicas, ...]` becomes `[prod(replicas), ...]`; a single network gets an axis of length 1.
    """
    axes, count = len(replicas), prod(replicas)

    def flat(leaf: Array) -> Array:
        return leaf.reshape(count, *leaf.shape[axes:])

    return jax.tree.map(flat, weights)


def _checked_grid(make_learner: Callable[..., Learner], grid: Grid) -> dict[str, Array]:
    """The grid as arrays of one length under names that `make_learner` takes."""
    values = {}
    for name, value in grid.items():
        try:
            values[name] = jnp.asarray(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise UsageError(
                f"the grid's {name} is {value!r}, expected a sequence of numbers"
            ) from error
    lengths = {name: value.shape[0] if value.ndim else 0 for name, value in values.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise UsageError(
            f"the grid has arrays of lengths {lengths}, expected one common length of at least 1"
        )
    check_integer("length of the grid", next(iter(lengths.values())), high=MAX_REPLICAS)
    parameters = inspect.signature(make_learner).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return values
    for name in values:
        if name not in parameters:
            raise UsageError(
                f"the grid has values for {name!r}, expected arguments of the function that makes "
                f"the learner: {', '.join(parameters)}{nearest(name, parameters)}"
            )
    return values
