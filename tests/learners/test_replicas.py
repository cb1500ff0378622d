"""Replicas: their keys, the grids of a sweep, and what is refused."""

import re
from math import prod

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl_jax.errors import UsageError
from dl_jax.learners import (
    TrainState,
    flatten_replicas,
    over_hyperparameters,
    over_seeds,
    product,
)
from tests.learners.problem import (
    KEY,
    SGD,
    make_batch,
    make_dropping_mlp,
    make_learner,
    make_mlp,
    started,
    train,
)


def configured(*, learning_rate=1e-2, dropout_rate=0.2, weight_decay=0.0):
    optimizer = optax.adamw(learning_rate, weight_decay=weight_decay)
    return make_learner(lambda: make_mlp(dropout_rate=dropout_rate), optimizer)


def test_seeds_differ_in_parameters_and_randomness():
    many = over_seeds(make_learner(make_dropping_mlp, SGD), 2)
    state = started(many)
    kernel = state.params["dense1"]["kernel"]
    assert not np.allclose(kernel[0], kernel[1])
    # The same parameters and data in both replicas: only their keys differ.
    same = state.replace(params=jax.tree.map(lambda a: np.stack([a[0], a[0]]), state.params))
    batch = jax.tree.map(lambda a: np.stack([a, a]), make_batch())
    _, metrics = train(many, same, [batch])
    assert abs(np.diff(metrics.means()["loss"]).item()) > 1e-4


def replicas(learner):
    return jax.eval_shape(learner.init, KEY).replicas


@pytest.mark.parametrize("kind", [list, np.asarray, jnp.asarray])
def test_a_grid_of_lists_or_arrays(kind):
    grid = {"learning_rate": kind([1e-3, 1e-2]), "weight_decay": kind([0.0, 0.1])}
    assert replicas(over_hyperparameters(configured, grid)) == (2,)


def test_replicas_and_streams_of_compositions():
    """Seeds bring batches of their own, points of a sweep share theirs."""
    grid = {"learning_rate": [1e-3, 1e-2, 1e-1]}
    sweep = over_hyperparameters(configured, grid)
    seeds_of_sweep = over_seeds(sweep, 2)
    sweep_of_seeds = over_hyperparameters(
        lambda learning_rate: over_seeds(configured(learning_rate=learning_rate), 2), grid
    )
    sweep_of_sweeps = over_hyperparameters(
        lambda weight_decay: over_hyperparameters(
            lambda learning_rate: configured(
                learning_rate=learning_rate, weight_decay=weight_decay
            ),
            grid,
        ),
        {"weight_decay": [0.0, 0.5]},
    )
    for learner, shape, streams in (
        (sweep, (3,), ()),
        (over_seeds(configured(), 2), (2,), (2,)),
        (seeds_of_sweep, (2, 3), (2,)),
        (sweep_of_seeds, (3, 2), (2,)),
        (sweep_of_sweeps, (2, 3), ()),
    ):
        state = jax.eval_shape(learner.init, KEY)
        assert (state.replicas, learner.streams) == (shape, streams)
        assert all(leaf.shape[: len(shape)] == shape for leaf in jax.tree.leaves(state))
        _, metrics = jax.eval_shape(learner.train_step, state, make_batch(streams=streams))
        assert metrics.sums["loss"].shape == shape


def test_product_makes_all_combinations():
    grid = product({"a": [1, 2, 3], "b": [0.5, 0.25]})
    pairs = list(zip(grid["a"].tolist(), grid["b"].tolist(), strict=True))
    assert pairs == [(1, 0.5), (1, 0.25), (2, 0.5), (2, 0.25), (3, 0.5), (3, 0.25)]
    grid = product({"learning_rate": [1e-3, 1e-2], "weight_decay": [0.0, 0.1]})
    assert replicas(over_hyperparameters(configured, grid)) == (4,)


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ({}, "the grid has arrays of lengths {}"),
        ({"learning_rate": []}, "the grid has arrays of lengths {'learning_rate': 0}"),
        ({"learning_rate": [0.1, 0.2], "weight_decay": [0.1]}, "'weight_decay': 1}"),
        ({"learning_rate": np.full((), 0.1)}, "{'learning_rate': 0}"),
        ({"learning_rate": ["x", "y"]}, "learning_rate is ['x', 'y']"),
        ({"learning_rate": [[0.1], [0.1, 0.2]]}, "expected a sequence of numbers"),
        ({"learning_rate": None}, "learning_rate is None, expected a sequence of numbers"),
        ({"learning_rate": np.zeros(65537)}, "length of the grid is 65537"),
        ({"learning_rte": [0.1]}, "values for 'learning_rte'"),
        ({"dropout_rate": [0.1, 1.5]}, "dropout_rate is 1.5"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_a_grid_that_cannot_be_swept_is_refused(grid, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        over_hyperparameters(configured, grid)


@pytest.mark.parametrize("count", [0, -1, 1.5, 65537, 10**30])
@pytest.mark.usefixtures("without_type_checks")
def test_a_count_of_seeds_out_of_range_is_refused(count):
    with pytest.raises(UsageError, match=f"seeds is {re.escape(str(count))}, expected"):
        over_seeds(configured(), count)


@pytest.mark.parametrize("replicas", [(), (2,), (2, 3)])
def test_flattened_replicas_have_one_axis(replicas):
    leaf = jnp.arange(prod(replicas) * 4.0).reshape(*replicas, 4)
    state = TrainState(jnp.zeros(replicas, jnp.int32), {"w": leaf}, {"m": leaf[..., 0]}, (), ())
    params, model_state = flatten_replicas((state.params, state.model_state), state.replicas)
    np.testing.assert_array_equal(params["w"], leaf.reshape(prod(replicas), 4))
    assert model_state["m"].shape == (prod(replicas),)
