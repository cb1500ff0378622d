"""Descent on an objective: tokens of equal weight, a carry, a start, a gradient of one's own."""

from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl_jax.errors import UsageError
from dl_jax.functional import cross_entropy
from dl_jax.learners import (
    Metrics,
    Outcome,
    averaged,
    check_start,
    example_keys,
    from_objective,
    over_hyperparameters,
    over_seeds,
    sharded,
    supervised,
)
from dl_jax.learners import local_mesh as make_mesh
from dl_jax.models import chain, linear, norm
from tests.learners.problem import (
    KEY,
    close,
    compiled,
    evaluate,
    make_batch,
    make_learner,
    one_step,
    replica_of,
    started,
    train,
)

BATCH, TIME = 8, 4


def init(key):
    return {"w": jax.random.normal(key, (3,)), "decay": jnp.float32(0.5)}, {}


def recurrent(params, model_state, carry, batch, *, train, key):
    """A leaky sum of the inputs that is to predict the next target; one loss for each token."""
    del train, key

    def step(hidden, x):
        hidden = params["decay"] * hidden + x @ params["w"]
        return hidden, hidden

    inputs = jnp.moveaxis(batch["x"], 1, 0)
    hidden, outputs = jax.lax.scan(step, carry, inputs)
    losses = (outputs.T - batch["y"]) ** 2  # [B, T]
    metrics = Metrics.of({"loss": losses}, batch["y"] > -1, batch.get("mask"))
    return Outcome(metrics, model_state, hidden)


def make_recurrent(rate=0.05, **options):
    return from_objective(init, recurrent, optax.adam(rate), carry=jnp.zeros(BATCH), **options)


recurrent_learner = cache(make_recurrent)  # compiled once


def sequences(seed=0, streams=(), size=BATCH):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(*streams, size, TIME, 3)), rng.normal(size=(*streams, size, TIME))
    return {"x": jnp.asarray(x, jnp.float32), "y": jnp.asarray(y, jnp.float32)}


def test_every_token_weighs_the_same():
    batch = sequences()
    _, metrics = one_step(recurrent_learner(), batch)
    counted = np.asarray(batch["y"]) > -1
    assert 0 < counted.sum() < counted.size
    assert metrics.counts["loss"] == counted.sum()


def test_the_carry_passes_from_batch_to_batch_and_no_gradient_does():
    learner, first, second = recurrent_learner(), sequences(0), sequences(1)
    state, _ = train(learner, started(learner), [first])
    assert np.abs(state.carry).max() > 0

    def loss(params):
        metrics = recurrent(params, {}, state.carry, second, train=True, key=KEY).metrics
        return metrics.sums["loss"] / metrics.counts["loss"]

    gradient = jax.jit(jax.grad(loss))(state.params)
    updates, _ = optax.adam(0.05).update(gradient, state.opt_state, state.params)
    after, _ = train(learner, state, [second])
    close(after.params, optax.apply_updates(state.params, updates))


def test_evaluation_starts_from_a_carry_of_zeros_of_its_own_size():
    learner = recurrent_learner()
    state, _ = train(learner, started(learner), [sequences()])
    fresh = replace(state, carry=jnp.zeros(BATCH))
    batch = sequences(2, size=5)
    close(evaluate(learner, state, batch), evaluate(learner, fresh, batch))


@pytest.mark.parametrize("microbatches", [2, 4])
def test_microbatches_of_unequal_counts_are_the_whole_batch(microbatches):
    whole, parts = recurrent_learner(), recurrent_learner(microbatches=microbatches)
    batches = [sequences(0), sequences(1)]
    close(train(parts, started(parts), batches), train(whole, started(whole), batches))


@cache
def compositions():
    seeds = over_seeds(recurrent_learner(), 3)
    sweep = over_hyperparameters(make_recurrent, {"rate": [0.01, 0.05]})
    return {
        "seeds": (seeds, (3,)),
        "sweep": (sweep, ()),
        "seeds of sweeps": (over_seeds(sweep, 3), (3,)),
        "sharded seeds": (sharded(seeds, make_mesh()), (3,)),
        "sharded sweep": (sharded(sweep, make_mesh()), ()),
        "averaged seeds": (averaged(seeds, 0.0), (3,)),
    }


@pytest.mark.parametrize("name", compositions())
def test_a_carry_composes_with_every_transformation(name):
    learner, streams = compositions()[name]
    batches = [sequences(i, streams) for i in range(3)]
    state, _ = train(learner, started(learner), batches)
    index = (0,) * len(state.replicas)
    key = jax.random.fold_in(KEY, 0) if streams else KEY
    single = recurrent_learner(0.01 if "sweep" in name else 0.05)
    own = [replica_of(batch, *(0,) * len(streams)) for batch in batches]
    expected, _ = train(single, compiled(single.init)(key), own)
    close(replica_of((state.params, state.carry), *index), (expected.params, expected.carry))


def test_the_carry_is_split_with_the_batch():
    learner, _ = compositions()["sharded seeds"]
    assert started(learner).carry.sharding.shard_shape((3, BATCH)) == (3, 1)


def test_a_start_takes_the_place_of_the_initial_parameters():
    start = {"w": jnp.arange(3.0), "decay": jnp.float32(0.1)}, {}
    learner = over_seeds(recurrent_learner(), 2)
    state = compiled(learner.init)(KEY, start)
    close(replica_of(state.params, 0), start[0])
    close(replica_of(state.params, 1), start[0])
    fresh = started(learner)
    close(state.opt_state, fresh.opt_state)
    assert np.array_equal(jax.random.key_data(state.key), jax.random.key_data(fresh.key))


@pytest.mark.parametrize(
    ("params", "said"),
    [
        (
            {"w": jnp.zeros(4), "decay": jnp.float32(0)},
            r"its params w is float32\[4\] there and float32\[3\] here",
        ),
        ({"w": jnp.zeros(3)}, "decay is absent there"),
        (
            {"w": jnp.zeros(3), "decay": jnp.float32(0), "b": jnp.zeros(1)},
            "b is .* there and absent here",
        ),
        ({"w": jnp.zeros((2, 3)), "decay": jnp.zeros(2)}, r"decay is float32\[2\] there"),
    ],
)
def test_a_start_that_does_not_fit_is_refused(params, said):
    with pytest.raises(UsageError, match=said):
        jax.eval_shape(recurrent_learner().init, KEY, (params, {}))


def test_layers_that_a_start_has_not_are_drawn_for_each_replica():
    features = chain({"dense": linear(3, 4), "norm": norm(4)})
    model = chain({"features": features, "head": linear(4, 2)})
    learner = over_seeds(supervised(model, cross_entropy, optax.sgd(0.1)), 2)
    params, model_state = jax.tree.map(jnp.sin, model.init(jax.random.key(5)))
    del params["head"]
    state = jax.jit(learner.init)(KEY, (params, model_state))
    fresh = jax.jit(learner.init)(KEY)
    for replica in range(2):
        close(replica_of(state.params["features"], replica), params["features"])
        close(replica_of(state.model_state, replica), model_state)
    close(state.params["head"], fresh.params["head"])
    assert not np.allclose(*state.params["head"]["kernel"])
    for start, said in (
        ((params, {}), "of its model_state features/norm/mean is absent there"),
        (({"features": {"dense": {"bias": jnp.zeros(4)}}}, {}), "features/dense/kernel is absent"),
        (({"hed": {"kernel": jnp.zeros((4, 2))}}, {}), "hed/kernel is .* there and absent here"),
    ):
        with pytest.raises(UsageError, match=said):
            jax.eval_shape(learner.init, KEY, start)


@pytest.mark.parametrize(
    "start",
    [{"w": jnp.zeros(3)}, ({},), ({}, {}, {}), ({"w": "x"}, {}), ({"w": jnp.ones(3)}, None)],
)
def test_a_start_that_is_no_pair_of_dicts_of_arrays_is_refused(start):
    with pytest.raises(UsageError, match=r"start (is a|has a leaf)"):
        check_start(start)


def test_a_carry_for_another_batch_is_refused():
    with pytest.raises(UsageError, match="the training batch 4 examples, expected as many first"):
        jax.eval_shape(
            recurrent_learner().train_step, started(recurrent_learner()), sequences(size=4)
        )


def test_a_start_is_an_argument_and_no_constant():
    learner = recurrent_learner()
    start = {"w": jnp.arange(3.0) + 0.123, "decay": jnp.float32(0.1)}, {}
    assert "0.123" not in jax.jit(learner.init).lower(KEY, start).as_text()


def test_a_gradient_of_ones_own_takes_the_place_of_jax():
    def gradient(params, model_state, carry, batch, *, key):
        outcome = recurrent(params, model_state, carry, batch, train=True, key=key)
        return jax.tree.map(jnp.ones_like, params), outcome

    learner = from_objective(
        init, recurrent, optax.sgd(0.5), carry=jnp.zeros(BATCH), gradient=gradient
    )
    state = started(learner)
    after, _ = train(learner, state, [sequences()])
    close(after.params, jax.tree.map(lambda leaf: leaf - 0.5, state.params))


def test_draws_of_an_example_do_not_depend_on_its_batch():
    whole = example_keys(KEY, {"index": jnp.arange(6)})
    part = example_keys(KEY, {"index": jnp.arange(4, 6)})
    assert np.array_equal(jax.random.key_data(whole)[4:], jax.random.key_data(part))
    assert len(np.unique(jax.random.key_data(whole), axis=0)) == 6


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (lambda b: Outcome(Metrics.of({"error": b["y"][:, 0]})), "expected one named 'loss'"),
        (
            lambda b: Outcome(Metrics.of({"loss": b["y"][:, 0]}), {}, {"h": jnp.zeros(3)}),
            "Outcome has another carry .*: h is absent there",
        ),
        (
            lambda b: Outcome(Metrics.of({"loss": b["y"][:, 0]}), {"mean": jnp.zeros(3)}),
            "Outcome has another model_state .*: mean is absent there",
        ),
        (lambda b: b["y"].mean(), "returned a .*, expected an Outcome"),
    ],
)
def test_an_objective_that_cannot_be_descended_is_refused(outcome, said):
    def objective(params, model_state, carry, batch, *, train, key):
        return outcome(batch)

    learner = from_objective(init, objective, optax.sgd(0.1))
    with pytest.raises(UsageError, match=said):
        jax.eval_shape(learner.train_step, jax.eval_shape(learner.init, KEY), sequences())


@pytest.mark.parametrize("composed", ["alone", "over seeds", "of seeds"])
def test_the_average_is_evaluated_and_what_descends_is_not_disturbed(composed):
    plain, decay = make_learner(), 0.9
    learner = {
        "alone": lambda: averaged(plain, decay),
        "over seeds": lambda: over_seeds(averaged(plain, decay), 2),
        "of seeds": lambda: averaged(over_seeds(plain, 2), decay),
    }[composed]()
    base = plain if composed == "alone" else over_seeds(plain, 2)
    streams = () if composed == "alone" else (2,)
    state, reference = started(learner), started(base)
    average = jax.device_get(reference.params)
    for i in range(4):
        batch = make_batch(seed=i, streams=streams)
        state, _ = train(learner, state, [batch])
        reference, _ = train(base, reference, [batch])
        d = min(decay, (1 + i) / (10 + i))
        average = jax.tree.map(
            lambda a, p, d=d: np.float32(d * a + (1 - d) * np.asarray(p)), average, reference.params
        )
    close(state.params, average)
    close(state.opt_state.params, reference.params)
    evaluated = evaluate(base, replace(reference, params=average), make_batch(seed=9))
    close(evaluate(learner, state, make_batch(seed=9)), evaluated)
    close(learner.weights(state)[0], average)


def test_the_decay_of_an_average_can_be_swept():
    learner = make_learner()
    sweep = over_hyperparameters(lambda decay: averaged(learner, decay), {"decay": [0.0, 0.2]})
    batches = [make_batch(seed=i) for i in range(5)]
    state, _ = train(sweep, started(sweep), batches)
    visited = [started(learner)]
    for batch in batches:
        visited.append(train(learner, visited[-1], [batch])[0])
    for i, decay in enumerate((0.0, 0.2)):
        average = visited[0].params
        for step, after in enumerate(visited[1:]):
            d = min(decay, (1 + step) / (10 + step))
            average = jax.tree.map(
                lambda a, p, d=d: np.float32(d * np.asarray(a) + (1 - d) * np.asarray(p)),
                average,
                after.params,
            )
        close(replica_of(state.params, i), average)


def test_a_decay_out_of_range_is_refused():
    with pytest.raises(UsageError, match="decay is 1"):
        averaged(make_learner(), 1.0)
