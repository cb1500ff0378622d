"""Replicas of every kind, on one device or eight, equal learners trained one by one."""

from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import jax
import optax
import pytest

from dl_jax.functional import cross_entropy
from dl_jax.learners import (
    Learner,
    fully_sharded,
    local_mesh,
    over_hyperparameters,
    over_seeds,
    sharded,
    supervised,
)
from dl_jax.optim import path_mask
from tests.learners.problem import (
    KEY,
    close,
    compiled,
    evaluate,
    make_batch,
    make_cnn,
    make_mlp,
    replica_of,
    started,
    train,
)
from tests.models.trees import layout


def configured(make_model=make_mlp, *, learning_rate, dropout_rate, weight_decay, label_smoothing):
    """A learner of every number that may be swept."""
    return supervised(
        make_model(dropout_rate=dropout_rate),
        partial(cross_entropy, label_smoothing=label_smoothing),
        optax.adamw(learning_rate, weight_decay=weight_decay, mask=path_mask(".*kernel")),
    )


GRID = {
    "learning_rate": [1e-3, 3e-2],
    "dropout_rate": [0.0, 0.6],
    "weight_decay": [0.0, 0.5],
    "label_smoothing": [0.0, 0.3],
}
configured_cnn = partial(configured, make_cnn)
EVALUATION = make_batch(8, 99)


@cache
def single(make, point):
    """The learner of one point of the grid."""
    return make(**{name: values[point] for name, values in GRID.items()})


def batches(streams):
    return [make_batch(16, seed, streams=streams) for seed in range(3)]


def finished(learner, state, batches):
    """State, metrics and evaluation after training."""
    state, metrics = train(learner, state, batches)
    return state, metrics, evaluate(learner, state, EVALUATION)


@cache
def alone(make, point, seed=None):
    """A single learner before and after training; replicas with seeds have batches of their own."""
    learner = single(make, point)
    key, data = KEY, batches(())
    if seed is not None:
        key = jax.random.fold_in(KEY, seed)
        data = [replica_of(batch, seed) for batch in batches((2,))]
    start = compiled(learner.init)(key)
    return start, finished(learner, start, data)


class Row(NamedTuple):
    """A transformed learner, and what its replicas are equal to.

    Attributes:
        learner: after all transformations.
        replicas: for some replicas, by index, the point of the grid and the seed.
        make: makes the single learner of a point.
        devices: how many hold the state.
    """

    learner: Learner
    replicas: dict[tuple[int, ...], tuple[int, int | None]]
    make: Callable[..., Learner] = configured
    devices: int = 1


def rows():
    mlp, cnn = single(configured, 1), single(configured_cnn, 1)
    sweep = over_hyperparameters(configured, GRID)
    seeds_of_sweep = over_seeds(sweep, 2)
    sweep_of_seeds = over_hyperparameters(lambda **point: over_seeds(configured(**point), 2), GRID)
    mesh = local_mesh()
    split = fully_sharded(mesh)
    seeds = {(0,): (1, 0), (1,): (1, 1)}
    one = {(): (1, None)}
    return {
        "seeds": Row(over_seeds(mlp, 2), seeds),
        "sweep": Row(sweep, {(0,): (0, None), (1,): (1, None)}),
        "sweep, convolutional": Row(
            over_hyperparameters(configured_cnn, GRID), {(1,): (1, None)}, configured_cnn
        ),
        "seeds of a sweep": Row(seeds_of_sweep, {(0, 1): (1, 0), (1, 0): (0, 1), (1, 1): (1, 1)}),
        "sweep of seeds": Row(sweep_of_seeds, {(1, 0): (1, 0), (0, 1): (0, 1), (1, 1): (1, 1)}),
        "fully sharded": Row(sharded(mlp, mesh, split), one, configured, 8),
        "fully sharded, convolutional": Row(sharded(cnn, mesh, split), one, configured_cnn, 8),
        "data-parallel seeds, convolutional": Row(
            sharded(over_seeds(cnn, 2), mesh), seeds, configured_cnn, 8
        ),
        "fully sharded seeds of a sweep": Row(
            sharded(seeds_of_sweep, mesh, split), {(0, 1): (1, 0), (1, 0): (0, 1)}, configured, 8
        ),
    }


ROWS = rows()


@pytest.mark.parametrize("name", ROWS)
def test_each_replica_equals_a_learner_alone(name):
    learner, replicas, make, devices = ROWS[name]
    start = started(learner)
    assert all(len(leaf.sharding.device_set) == devices for leaf in jax.tree.leaves(start))
    found = finished(learner, start, batches(learner.streams))
    assert placed(found[0]) == placed(start)
    assert found[2].means()["loss"].shape == start.replicas
    for index, (point, seed) in replicas.items():
        assert len(index) == len(start.replicas)
        expected_start, expected = alone(make, point, seed)
        close(replica_of(start, *index), expected_start, 1e-6)
        close(replica_of(found, *index), expected, 2e-5)


@pytest.mark.parametrize("name", ROWS)
def test_a_step_is_compiled_once(name):
    """It gives back the shapes and types that it is given."""
    learner = ROWS[name].learner
    state = jax.eval_shape(learner.init, KEY)
    after, _ = jax.eval_shape(learner.train_step, state, make_batch(16, streams=learner.streams))
    assert layout(after) == layout(state)


def placed(state):
    """What one device holds of each leaf."""
    return [leaf.sharding.shard_shape(leaf.shape) for leaf in jax.tree.leaves(state)]
