"""Many runs in one program are the runs one by one."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl_jax.errors import UsageError
from dl_jax.functional import cross_entropy
from dl_jax.learners import over_hyperparameters, over_seeds, product, supervised
from dl_jax.optim import path_mask
from tests.learners.problem import close, make_batch, make_cnn, make_mlp, run_of, train

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


def batches(*runs):
    return [make_batch(seed=seed, runs=runs) for seed in range(STEPS)]


def run_and_evaluate(learner, state, batches):
    state, metrics = train(learner, state, batches)
    return state, metrics, jax.jit(learner.eval_step)(state, make_batch(5, 99))


@pytest.mark.parametrize("make_model", [make_mlp, make_cnn])
def test_each_seed_is_the_single_run_with_its_key_and_its_data(make_model):
    single, data = configured(make_model), batches(2)
    many = over_seeds(single, 2)
    state = jax.jit(many.init)(KEY)
    assert state.step.shape == (2,)
    assert all(leaf.shape[0] == 2 for leaf in jax.tree.leaves(state))
    finished = run_and_evaluate(many, state, data)
    for i in range(2):
        start = jax.jit(single.init)(jax.random.fold_in(KEY, i))
        close(run_of(state, i), start, 1e-6)
        expected = run_and_evaluate(single, start, [run_of(batch, i) for batch in data])
        close(run_of(finished, i), expected, 2e-5)


def test_a_seed_does_not_depend_on_their_count():
    single, data = configured(), batches(4)
    states = {}
    for count in (1, 4):
        many = over_seeds(single, count)
        some = [jax.tree.map(lambda a, count=count: a[:count], batch) for batch in data]
        states[count], _ = train(many, jax.jit(many.init)(KEY), some)
    close(run_of(states[1], 0), run_of(states[4], 0))


def test_seeds_differ_in_parameters_and_randomness():
    many = over_seeds(configured(dropout_rate=0.5), 2)
    state = jax.jit(many.init)(KEY)
    kernel = state.params["dense1"]["kernel"]
    assert not np.allclose(kernel[0], kernel[1])
    # The same parameters and data in both runs: their keys alone remain.
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
def test_each_value_is_the_learner_made_with_it(name):
    values, data = SWEEPS[name], batches(2)
    sweep = over_hyperparameters(configured, {name: values})
    state = jax.jit(sweep.init)(KEY)
    assert state.step.shape == (2,)
    finished = run_and_evaluate(sweep, state, data)
    for i, value in enumerate(values):
        single = configured(**{name: value})
        start = jax.jit(single.init)(KEY)
        close(run_of(state, i).params, start.params, 1e-6)
        expected = run_and_evaluate(single, start, [run_of(batch, i) for batch in data])
        # A rate of exactly 0 makes no dropout at all, one that is swept drops with probability 0.
        close(run_of(finished, i), expected, 2e-5)


@pytest.mark.parametrize("name", SWEEPS)
def test_the_values_make_a_difference(name):
    sweep = over_hyperparameters(configured, {name: SWEEPS[name]})
    batch = jax.tree.map(lambda a: jnp.stack([a, a]), make_batch())
    state, _ = train(sweep, jax.jit(sweep.init)(KEY), [batch] * 2)
    kernel = state.params["dense1"]["kernel"]
    assert not np.allclose(kernel[0], kernel[1], atol=1e-5)


def test_convolutional_networks_are_swept_too():
    make, rates = partial(configured, make_cnn), [1e-3, 1e-2]
    sweep, data = over_hyperparameters(make, {"learning_rate": rates}), batches(2)
    finished, _ = train(sweep, jax.jit(sweep.init)(KEY), data)
    for i, rate in enumerate(rates):
        single = make(learning_rate=rate)
        own = [run_of(batch, i) for batch in data]
        close(run_of(finished, i), train(single, jax.jit(single.init)(KEY), own)[0], 2e-5)


@pytest.mark.parametrize("kind", [list, np.asarray, jnp.asarray])
def test_a_grid_of_lists_or_arrays(kind):
    grid = {"learning_rate": kind([1e-3, 1e-2]), "weight_decay": kind([0.0, 0.1])}
    assert over_hyperparameters(configured, grid).init(KEY).step.shape == (2,)


def test_seeds_of_a_sweep():
    """Both axes stand in front, seeds first, and each cell is its own run."""
    grid = {"learning_rate": [1e-3, 1e-2, 1e-1]}
    both, data = over_seeds(over_hyperparameters(configured, grid), 2), batches(2, 3)
    state = jax.jit(both.init)(KEY)
    assert state.step.shape == (2, 3)
    finished = run_and_evaluate(both, state, data)
    assert finished[2].means()["loss"].shape == (2, 3)
    for seed, value in ((0, 0), (1, 2)):
        single = configured(learning_rate=grid["learning_rate"][value])
        start = jax.jit(single.init)(jax.random.fold_in(KEY, seed))
        own = [run_of(batch, seed, value) for batch in data]
        close(run_of(finished, seed, value), run_and_evaluate(single, start, own), 2e-5)


def test_product_makes_all_combinations():
    grid = product({"a": [1, 2, 3], "b": [0.5, 0.25]})
    pairs = list(zip(grid["a"].tolist(), grid["b"].tolist(), strict=True))
    assert pairs == [(1, 0.5), (1, 0.25), (2, 0.5), (2, 0.25), (3, 0.5), (3, 0.25)]
    grid = product({"learning_rate": [1e-3, 1e-2], "label_smoothing": [0.0, 0.1, 0.2]})
    assert over_hyperparameters(configured, grid).init(KEY).step.shape == (6,)


@pytest.mark.parametrize(
    "grid",
    [
        {},
        {"learning_rate": []},
        {"learning_rate": [0.1, 0.2], "weight_decay": [0.1]},
        {"learning_rate": np.full((), 0.1)},
    ],
)
def test_a_grid_without_one_length_is_named(grid):
    with pytest.raises(UsageError, match="the grid has arrays of lengths"):
        over_hyperparameters(configured, grid)


def test_no_seeds_at_all():
    with pytest.raises(UsageError, match="seeds is 0"):
        over_seeds(configured(), 0)
