"""Optimizers, against optax's over a hundred steps, and in its company."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl_jax.learners import over_hyperparameters
from dl_jax.optim import (
    adam,
    adamw,
    by_path,
    cosine,
    frozen,
    momentum,
    nesterov,
    path_mask,
    rmsprop,
    sgd,
)
from tests.learners.problem import make_batch, make_learner, train

RATE = cosine(0.1, 100)
PAIRS = {
    "sgd": (sgd(0.1), optax.sgd(0.1)),
    "sgd on a schedule": (sgd(RATE), optax.sgd(RATE)),
    "momentum": (momentum(0.01), optax.sgd(0.01, momentum=0.9)),
    "momentum 0.5": (momentum(0.01, decay=0.5), optax.sgd(0.01, momentum=0.5)),
    "nesterov": (nesterov(0.01), optax.sgd(0.01, momentum=0.9, nesterov=True)),
    "rmsprop": (rmsprop(0.01), optax.rmsprop(0.01)),
    "rmsprop 0.99": (rmsprop(0.01, decay=0.99), optax.rmsprop(0.01, decay=0.99)),
    "adam": (adam(RATE), optax.adam(RATE)),
    "adam 0.5": (adam(0.1, b1=0.5, b2=0.9), optax.adam(0.1, b1=0.5, b2=0.9)),
    "adamw": (adamw(0.1, weight_decay=0.1), optax.adamw(0.1, weight_decay=0.1)),
    "adamw on kernels": (
        adamw(RATE, weight_decay=0.1, mask=path_mask(".*kernel")),
        optax.adamw(RATE, weight_decay=0.1, mask=path_mask(".*kernel")),
    ),
}
each = pytest.mark.parametrize(("ours", "theirs"), PAIRS.values(), ids=PAIRS)


def parameters():
    random = np.random.default_rng(0)
    return {
        "dense": {
            "kernel": jnp.asarray(random.normal(size=(3, 4)), jnp.float32),
            "bias": jnp.asarray(random.normal(size=4), jnp.float32),
        },
        "scale": jnp.asarray(1.5),
    }


def noisy_gradients(params, step):
    """Of a quadratic bowl, with noise, and a parameter whose gradient is always zero."""
    noise = jax.random.normal(jax.random.fold_in(jax.random.key(0), step), (3, 4))
    return {
        "dense": {
            "kernel": params["dense"]["kernel"] + noise,
            "bias": 10 * params["dense"]["bias"],
        },
        "scale": jnp.zeros(()),
    }


@each
def test_a_hundred_steps_are_those_of_optax(ours, theirs):
    def run(optimizer):
        @jax.jit
        def step(carry, index):
            params, state = carry
            updates, state = optimizer.update(noisy_gradients(params, index), state, params)
            return optax.apply_updates(params, updates), state

        carry = parameters(), optimizer.init(parameters())
        for index in range(100):
            carry = step(carry, index)
        return carry[0]

    for a, e in zip(jax.tree.leaves(run(ours)), jax.tree.leaves(run(theirs)), strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-4, atol=2e-6)


@each
def test_the_state_is_arrays_and_zero_gradients_move_nothing(ours, theirs):
    params = parameters()
    state = ours.init(params)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(state))
    zero = jax.tree.map(jnp.zeros_like, params)
    updates, after = ours.update(zero, state, params)
    assert jax.tree.structure(updates) == jax.tree.structure(params)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert float(updates["scale"]) == 0 or theirs is PAIRS["adamw"][1]


@pytest.mark.parametrize(
    "optimizer",
    [sgd(0.05), momentum(0.02), nesterov(0.02), rmsprop(0.01), adam(0.05), adamw(0.05)],
)
def test_the_minimum_is_reached(optimizer):
    """Of Rosenbrock's valley, from close by; the minimum is at (1, 1)."""

    def valley(p):
        return (1 - p[0]) ** 2 + 2 * (p[1] - p[0] ** 2) ** 2

    @jax.jit
    def run(p):
        def step(_, carry):
            p, state = carry
            updates, state = optimizer.update(jax.grad(valley)(p), state, p)
            return optax.apply_updates(p, updates), state

        return jax.lax.fori_loop(0, 2000, step, (p, optimizer.init(p)))[0]

    np.testing.assert_allclose(run(jnp.array([0.2, 0.5])), [1, 1], atol=0.02)


def test_ours_and_theirs_go_together():
    learner = make_learner(
        optimizer=by_path(
            [
                ("head/bias", frozen()),
                ("head/.*", optax.chain(optax.clip(1.0), adam(1e-2))),
                (".*", optax.chain(momentum(1e-2), optax.add_decayed_weights(1e-4))),
            ]
        )
    )
    before = jax.jit(learner.init)(jax.random.key(0))
    after, _ = train(learner, before, [make_batch()])
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), before.params, after.params)
    assert moved == {
        "dense1": {"kernel": True, "bias": True},
        "head": {"kernel": True, "bias": False},
    }


def test_all_numbers_of_an_optimizer_can_be_swept():
    grid = {
        "rate": jnp.array([1e-3, 1e-2]),
        "b1": jnp.array([0.9, 0.5]),
        "d": jnp.array([0.0, 0.1]),
    }

    def make(rate, b1, d):
        return make_learner(optimizer=adamw(rate, b1=b1, weight_decay=d))

    sweep = over_hyperparameters(make, grid)
    swept, _ = train(sweep, jax.jit(sweep.init)(jax.random.key(0)), [make_batch()])
    for i in range(2):
        learner = make(*(float(values[i]) for values in grid.values()))
        alone, _ = train(learner, jax.jit(learner.init)(jax.random.key(0)), [make_batch()])
        for many, one in zip(
            jax.tree.leaves(swept.params), jax.tree.leaves(alone.params), strict=True
        ):
            np.testing.assert_allclose(many[i], one, rtol=1e-5, atol=1e-6)


def test_decay_without_parameters_is_an_error():
    optimizer = adamw(0.1)
    params = parameters()
    with pytest.raises(ValueError, match="weight decay needs the parameters"):
        optimizer.update(params, optimizer.init(params))
