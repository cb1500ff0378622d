"""Replicas in one program equal learners trained one by one."""

import re
from functools import partial
from math import prod

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl_jax.errors import UsageError
from dl_jax.functional import cross_entropy
from dl_jax.learners import (
    TrainState,
    flatten_replicas,
    over_hyperparameters,
    over_seeds,
    product,
    supervised,
)
from dl_jax.optim import path_mask
from tests.learners.problem import close, make_batch, make_cnn, make_mlp, replica_of, train

KEY = jax.random.key(3)
STEPS = 3


def configured(
    make_model=make_mlp,
    *,
    learning_rate=1e-2,
    dropout_rate=0.2,
    weight_decay=0.0,
    label_smoothing=0.0,
):
    """A learner of every number that may be swept."""
    return supervised(
        make_model(dropout_rate=dropout_rate),
        partial(cross_entropy, label_smoothing=label_smoothing),
        optax.adamw(learning_rate, weight_decay=weight_decay, mask=path_mask(".*kernel")),
    )


def batches(*streams):
    return [make_batch(seed=seed, streams=streams) for seed in range(STEPS)]


def run_and_evaluate(learner, state, batches):
    state, metrics = train(learner, state, batches)
    return state, metrics, jax.jit(learner.eval_step)(state, make_batch(5, 99))


@pytest.mark.parametrize("make_model", [make_mlp, make_cnn])
def test_each_seed_equals_a_single_learner_with_its_key_and_data(make_model):
    single, data = configured(make_model), batches(2)
    many = over_seeds(single, 2)
    state = jax.jit(many.init)(KEY)
    assert state.replicas == many.streams == (2,)
    assert all(leaf.shape[0] == 2 for leaf in jax.tree.leaves(state))
    finished = run_and_evaluate(many, state, data)
    for i in range(2):
        start = jax.jit(single.init)(jax.random.fold_in(KEY, i))
        close(replica_of(state, i), start, 1e-6)
        expected = run_and_evaluate(single, start, [replica_of(batch, i) for batch in data])
        close(replica_of(finished, i), expected, 2e-5)


def test_a_seed_does_not_depend_on_their_count():
    single, data = configured(), batches(4)
    states = {}
    for count in (1, 4):
        many = over_seeds(single, count)
        some = [jax.tree.map(lambda a, count=count: a[:count], batch) for batch in data]
        states[count], _ = train(many, jax.jit(many.init)(KEY), some)
    close(replica_of(states[1], 0), replica_of(states[4], 0))


def test_seeds_differ_in_parameters_and_randomness():
    many = over_seeds(configured(dropout_rate=0.5), 2)
    state = jax.jit(many.init)(KEY)
    kernel = state.params["dense1"]["kernel"]
    assert not np.allclose(kernel[0], kernel[1])
    # The same parameters and data in both replicas: only their keys differ.
    same = state.replace(params=jax.tree.map(lambda a: jnp.stack([a[0], a[0]]), state.params))
    batch = jax.tree.map(lambda a: jnp.stack([a, a]), make_batch())
    _, metrics = train(many, same, [batch])
    assert abs(np.diff(metrics.means()["loss"]).item()) > 1e-4


SWEEPS = {
    "learning_rate": [1e-3, 1e-1],
    "dropout_rate": [0.0, 0.6],
    "weight_decay": [0.0, 0.5],
    "label_smoothing": [0.0, 0.3],
}


@pytest.mark.parametrize("name", SWEEPS)
def test_each_value_equals_the_learner_made_with_it_on_the_same_batches(name):
    values, data = SWEEPS[name], batches()
    sweep = over_hyperparameters(configured, {name: values})
    state = jax.jit(sweep.init)(KEY)
    assert (state.replicas, sweep.streams) == ((2,), ())
    finished = run_and_evaluate(sweep, state, data)
    for i, value in enumerate(values):
        single = configured(**{name: value})
        start = jax.jit(single.init)(KEY)
        close(replica_of(state, i).params, start.params, 1e-6)
        # A rate of exactly 0 makes no dropout at all, one that is swept drops with probability 0.
        close(replica_of(finished, i), run_and_evaluate(single, start, data), 2e-5)
    kernel = finished[0].params["dense1"]["kernel"]
    assert not np.allclose(kernel[0], kernel[1], atol=1e-5)  # the value makes a difference


def test_convolutional_networks_are_swept_too():
    make, rates = partial(configured, make_cnn), [1e-3, 1e-2]
    sweep, data = over_hyperparameters(make, {"learning_rate": rates}), batches()
    finished, _ = train(sweep, jax.jit(sweep.init)(KEY), data)
    for i, rate in enumerate(rates):
        single = make(learning_rate=rate)
        close(replica_of(finished, i), train(single, jax.jit(single.init)(KEY), data)[0], 2e-5)


@pytest.mark.parametrize("kind", [list, np.asarray, jnp.asarray])
def test_a_grid_of_lists_or_arrays(kind):
    grid = {"learning_rate": kind([1e-3, 1e-2]), "weight_decay": kind([0.0, 0.1])}
    assert over_hyperparameters(configured, grid).init(KEY).replicas == (2,)


RATES = [1e-3, 1e-2, 1e-1]
GRID = {"learning_rate": RATES}


def seeds_of_a_sweep():
    return over_seeds(over_hyperparameters(configured, GRID), 2), (2, 3), lambda s, p: (s, p)


def sweep_of_seeds():
    def make(learning_rate):
        return over_seeds(configured(learning_rate=learning_rate), 2)

    return over_hyperparameters(make, GRID), (3, 2), lambda s, p: (p, s)


@pytest.mark.parametrize("compose", [seeds_of_a_sweep, sweep_of_seeds])
def test_seeds_and_sweeps_compose_either_way(compose):
    """Seeds bring batches of their own, points of a sweep share theirs."""
    both, replicas, index = compose()
    assert both.streams == (2,)
    data, state = batches(*both.streams), jax.jit(both.init)(KEY)
    assert state.replicas == replicas
    finished = run_and_evaluate(both, state, data)
    assert finished[2].means()["loss"].shape == replicas
    for seed, point in ((0, 0), (1, 2)):
        single = configured(learning_rate=RATES[point])
        start = jax.jit(single.init)(jax.random.fold_in(KEY, seed))
        own = [replica_of(batch, seed) for batch in data]
        expected = run_and_evaluate(single, start, own)
        close(replica_of(finished, *index(seed, point)), expected, 2e-5)


def test_a_sweep_of_a_sweep_shares_the_batch():
    def make(weight_decay):
        return over_hyperparameters(partial(configured, weight_decay=weight_decay), GRID)

    sweep = over_hyperparameters(make, {"weight_decay": [0.0, 0.5]})
    assert sweep.streams == ()
    state, metrics = train(sweep, jax.jit(sweep.init)(KEY), batches())
    assert state.replicas == metrics.sums["loss"].shape == (2, 3)


def test_product_makes_all_combinations():
    grid = product({"a": [1, 2, 3], "b": [0.5, 0.25]})
    pairs = list(zip(grid["a"].tolist(), grid["b"].tolist(), strict=True))
    assert pairs == [(1, 0.5), (1, 0.25), (2, 0.5), (2, 0.25), (3, 0.5), (3, 0.25)]
    grid = product({"learning_rate": [1e-3, 1e-2], "label_smoothing": [0.0, 0.1, 0.2]})
    assert over_hyperparameters(configured, grid).init(KEY).replicas == (6,)


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
