"""Optimizers and schedules from plain values."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl_jax.errors import UsageError
from dl_jax.optim import OptimizerConfig, by_path, frozen, make_optimizer, make_schedule


def params():
    return {"dense": {"kernel": jnp.full((2, 3), 2.0), "bias": jnp.full(3, 2.0)}}


def along(schedule, steps):
    return np.asarray(jax.vmap(schedule)(jnp.arange(steps)))


def first_update(optimizer, gradients):
    updates, _ = optimizer.update(gradients, optimizer.init(params()), params())
    return updates["dense"]


@pytest.mark.parametrize(
    ("schedule", "warmup", "values"),
    [
        ("constant", 0.0, {0: 0.5, 50: 0.5, 100: 0.5}),
        ("constant", 0.2, {0: 0.0, 10: 0.25, 20: 0.5, 60: 0.5, 100: 0.5}),
        ("cosine", 0.0, {0: 0.5, 25: 0.25 * (1 + 0.5**0.5), 50: 0.25, 100: 0.0}),
        ("cosine", 0.2, {0: 0.0, 10: 0.25, 20: 0.5, 60: 0.25, 100: 0.0}),
    ],
)
def test_schedule_at_start_peak_and_end(schedule, warmup, values):
    config = OptimizerConfig(learning_rate=0.5, schedule=schedule, warmup=warmup)
    rate = make_schedule(config, 100)
    for step, value in values.items():
        np.testing.assert_allclose(rate(step), value, atol=1e-6, err_msg=f"step {step}")


def after_linear_warmup(steps, theirs):
    return optax.join_schedules([optax.linear_schedule(0.0, 0.5, steps), theirs], [steps])


SCHEDULES = {  # fields, and optax's schedule for 90 steps; a warm-up of 0.2 are 18 of them
    "constant": ({"warmup": 0.2}, after_linear_warmup(18, optax.constant_schedule(0.5))),
    "cosine": ({"warmup": 0.2}, optax.warmup_cosine_decay_schedule(0.0, 0.5, 18, 90)),
    "linear": ({}, optax.linear_schedule(0.5, 0.0, 90)),
    "linear after a warm-up": (
        {"schedule": "linear", "warmup": 0.2},
        after_linear_warmup(18, optax.linear_schedule(0.5, 0.0, 72)),
    ),
    "step": ({}, optax.piecewise_constant_schedule(0.5, {30: 0.1, 60: 0.1, 90: 0.1})),
    "step by fields": (
        {"schedule": "step", "step_every": 0.5, "step_factor": 0.3},
        optax.exponential_decay(0.5, 45, 0.3, staircase=True),
    ),
    "step after a warm-up": (
        {"schedule": "step", "warmup": 0.2, "step_every": 0.25, "step_factor": 0.5},
        after_linear_warmup(18, optax.exponential_decay(0.5, 18, 0.5, staircase=True)),
    ),
    "one_cycle": ({"warmup": 0.3}, optax.cosine_onecycle_schedule(90, 0.5)),
    "one late cycle": (
        {"schedule": "one_cycle", "warmup": 0.6},
        optax.cosine_onecycle_schedule(90, 0.5, 0.6),
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_is_that_of_optax(name):
    """As a function, and by the updates of the optimizer that follows it."""
    fields, theirs = SCHEDULES[name]
    config = OptimizerConfig("sgd", 0.5, **{"schedule": name, **fields})
    optimizer, weights = make_optimizer(config, 90), {"kernel": jnp.ones(2)}

    def step(state, _):
        update, state = optimizer.update(weights, state, weights)
        return state, update["kernel"][0]

    @jax.jit
    def rates_and_updates(steps):
        updates = jax.lax.scan(step, optimizer.init(weights), steps)[1]
        return jax.vmap(make_schedule(config, 90))(steps), updates

    rates, updates = rates_and_updates(jnp.arange(100))
    expected = along(theirs, 100)
    np.testing.assert_allclose(rates, expected, rtol=2e-5, atol=1e-7)
    np.testing.assert_allclose(updates, -expected, rtol=2e-5, atol=1e-7)


def test_a_third_of_the_steps_leaves_no_decay_for_the_last():
    rate = make_schedule(OptimizerConfig(learning_rate=0.5, schedule="step"), 100)
    np.testing.assert_allclose(
        [rate(s) for s in (33, 34, 67, 68, 99)], [0.5, 0.05, 0.05, 0.005, 0.005], rtol=1e-5
    )


def test_only_a_constant_rate_without_warm_up_is_independent_of_the_length():
    def differs(**fields):
        config = OptimizerConfig(**fields)
        rates = [along(make_schedule(config, n), 40) for n in (60, 90)]
        assert config.depends_on_length == (rates[0] != rates[1]).any()
        return config.depends_on_length

    assert not differs(schedule="constant")
    for schedule in ("constant", "cosine", "linear", "step", "one_cycle"):
        assert differs(schedule=schedule, warmup=0.2)
    for schedule in ("cosine", "linear", "step"):
        assert differs(schedule=schedule)


def test_schedule_rises_to_its_peak_and_then_falls():
    rate = make_schedule(OptimizerConfig(learning_rate=0.5, warmup=0.1), 200)
    rates = along(rate, 201)
    assert (np.diff(rates[:21]) > 0).all()
    assert (np.diff(rates[20:]) < 0).all()
    assert rates.max() == rates[20] == 0.5


@pytest.mark.parametrize("total_steps", [1, 2, 10])
@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear", "step", "one_cycle"])
def test_short_trainings_have_a_schedule(schedule, total_steps):
    config = OptimizerConfig(learning_rate=0.5, schedule=schedule, warmup=0.99)
    rate = make_schedule(config, total_steps)
    rates = along(rate, total_steps + 1)
    assert np.isfinite(rates).all()
    assert rates.max() <= 0.5


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("adam", optax.adam),
        ("sgd", optax.sgd),
        ("momentum", lambda rate: optax.sgd(rate, momentum=0.9)),
        ("nesterov", lambda rate: optax.sgd(rate, momentum=0.9, nesterov=True)),
        ("rmsprop", optax.rmsprop),
    ],
)
def test_rules_are_those_of_optax(name, reference):
    config = OptimizerConfig(optimizer=name, learning_rate=0.1, warmup=0.3)
    ours, theirs = make_optimizer(config, 10), reference(make_schedule(config, 10))
    p = q = params()
    ours_state, theirs_state = ours.init(p), theirs.init(q)
    for _ in range(5):
        p_gradients, q_gradients = (jax.tree.map(jnp.sin, tree) for tree in (p, q))
        updates, ours_state = ours.update(p_gradients, ours_state, p)
        p = optax.apply_updates(p, updates)
        updates, theirs_state = theirs.update(q_gradients, theirs_state, q)
        q = optax.apply_updates(q, updates)
    for a, b in zip(jax.tree.leaves(p), jax.tree.leaves(q), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert not np.allclose(p["dense"]["kernel"], params()["dense"]["kernel"])


@pytest.mark.parametrize("name", ["adam", "sgd", "momentum"])
def test_a_quadratic_reaches_its_minimum(name):
    config = OptimizerConfig(optimizer=name, learning_rate=0.1, warmup=0.1)
    optimizer = make_optimizer(config, 150)
    scale = jnp.array([1.0, 2.0, 3.0])

    def loss(p):
        return sum(jnp.sum((x @ jnp.diag(scale) - 1) ** 2) for x in jax.tree.leaves(p)) / 2

    @jax.jit
    def train(p):
        def step(_, carry):
            p, state = carry
            updates, state = optimizer.update(jax.grad(loss)(p), state, p)
            return optax.apply_updates(p, updates), state

        return jax.lax.fori_loop(0, 150, step, (p, optimizer.init(p)))[0]

    assert loss(train(params())) < 1e-3 * loss(params())


@pytest.mark.parametrize("name", ["adam", "momentum", "nesterov", "rmsprop", "sgd"])
def test_decay_is_decoupled_and_of_kernels_alone(name):
    """Without a gradient, a kernel shrinks by rate * decay, whatever the rule; a bias stays."""
    config = OptimizerConfig(
        optimizer=name, learning_rate=0.1, schedule="constant", weight_decay=0.3
    )
    zero = jax.tree.map(jnp.zeros_like, params())
    updates = first_update(make_optimizer(config, 10), zero)
    np.testing.assert_allclose(updates["kernel"], -0.1 * 0.3 * 2.0, rtol=1e-6)
    np.testing.assert_array_equal(updates["bias"], 0)


def test_a_group_without_kernels_may_have_a_decay():
    config = OptimizerConfig(optimizer="sgd", learning_rate=1.0, weight_decay=0.5)
    optimizer = by_path([(".*/bias", make_optimizer(config, 10)), (".*", frozen())])
    zero = jax.tree.map(jnp.zeros_like, params())
    updates = first_update(optimizer, zero)
    np.testing.assert_array_equal(updates["bias"], 0)
    np.testing.assert_array_equal(updates["kernel"], 0)


@pytest.mark.parametrize("size", [0.01, 1.0, 1e6])
def test_clipping_bounds_the_update_and_keeps_its_direction(size):
    config = OptimizerConfig(optimizer="sgd", learning_rate=1.0, schedule="constant", clip_norm=0.5)
    gradients = jax.tree.map(
        lambda p: size * jnp.arange(1.0, p.size + 1).reshape(p.shape), params()
    )
    norm = optax.tree.norm(gradients)
    updates = first_update(make_optimizer(config, 10), gradients)
    np.testing.assert_allclose(optax.tree.norm(updates), min(norm, 0.5), rtol=1e-5)
    np.testing.assert_allclose(
        updates["kernel"] / optax.tree.norm(updates),
        -gradients["dense"]["kernel"] / norm,
        rtol=1e-5,
    )


def test_no_clipping_by_default():
    config = OptimizerConfig(optimizer="sgd", learning_rate=1.0, schedule="constant")
    huge = jax.tree.map(lambda p: jnp.full_like(p, 1e6), params())
    np.testing.assert_allclose(first_update(make_optimizer(config, 1), huge)["kernel"], -1e6)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("optimizer", "adma"),
        ("schedule", "linaer"),
        ("learning_rate", 0.0),
        ("learning_rate", -1.0),
        ("learning_rate", float("nan")),
        ("warmup", 1.0),
        ("warmup", -0.1),
        ("weight_decay", -1.0),
        ("clip_norm", -1.0),
        ("clip_norm", float("inf")),
        ("step_every", 0.0),
        ("step_every", 1.5),
        ("step_factor", 0.0),
        ("step_factor", 2.0),
    ],
)
def test_what_cannot_work_is_rejected_by_name(field, value):
    config = OptimizerConfig()
    object.__setattr__(config, field, value)  # past the tests' own check of types
    with pytest.raises(UsageError, match=f"{field} is {value!r}"):
        config.__post_init__()


def test_a_schedule_needs_a_step_and_one_cycle_a_rise():
    with pytest.raises(
        UsageError, match="warmup is 0.0, expected greater .*: pass e.g. --warmup 0.3"
    ):
        OptimizerConfig(schedule="one_cycle")
    with pytest.raises(UsageError, match="total_steps is 0, expected at least 1"):
        make_schedule(OptimizerConfig(schedule="constant"), 0)


def test_adams_decays_are_those_of_optax():
    gradients = [{"dense": {"kernel": jnp.full((2, 3), g), "bias": jnp.full(3, -g)}}
                 for g in (1.0, -3.0, 0.5)]  # fmt: skip
    config = OptimizerConfig(learning_rate=0.1, schedule="constant", beta1=0.5, beta2=0.9)
    found = []
    for rule in (make_optimizer(config, 10), optax.adam(0.1, b1=0.5, b2=0.9)):
        state = rule.init(params())
        for each in gradients:
            updates, state = rule.update(each, state, params())
        found.append(updates)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), *found)
    with pytest.raises(UsageError, match="beta1 is 1"):
        OptimizerConfig(beta1=1.0)
