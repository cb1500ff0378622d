"""Schedules, against optax's."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl_jax.errors import UsageError
from dl_jax.optim import (
    OptimizerConfig,
    constant,
    cosine,
    linear,
    make_schedule,
    one_cycle,
    step_decay,
    warmup_cosine,
    with_warmup,
)

PAIRS = {
    "constant": (constant(0.3), optax.constant_schedule(0.3)),
    "cosine": (cosine(0.3, 50), optax.cosine_decay_schedule(0.3, 50)),
    "cosine to a floor": (
        cosine(0.3, 50, final=0.03),
        optax.cosine_decay_schedule(0.3, 50, alpha=0.1),
    ),
    "linear": (linear(0.3, 50), optax.linear_schedule(0.3, 0.0, 50)),
    "linear to a floor": (linear(0.3, 50, final=0.03), optax.linear_schedule(0.3, 0.03, 50)),
    "linear, rising": (linear(0.1, 7, final=0.3), optax.linear_schedule(0.1, 0.3, 7)),
    "warm-up": (
        warmup_cosine(0.3, 50, 10, initial=0.01, final=0.001),
        optax.warmup_cosine_decay_schedule(0.01, 0.3, 10, 50, end_value=0.001),
    ),
    "warm-up before a line": (
        with_warmup(linear(0.3, 40), 10),
        optax.join_schedules(
            [optax.linear_schedule(0.0, 0.3, 10), optax.linear_schedule(0.3, 0.0, 40)], [10]
        ),
    ),
    "warm-up before steps": (
        with_warmup(step_decay(0.3, 20, 0.5), 15, initial=0.1),
        optax.join_schedules(
            [
                optax.linear_schedule(0.1, 0.3, 15),
                optax.exponential_decay(0.3, 20, 0.5, staircase=True),
            ],
            [15],
        ),
    ),
    "warm-up alone": (
        with_warmup(constant(0.3), 10, initial=0.01),
        optax.warmup_constant_schedule(0.01, 0.3, 10),
    ),
    "step decay": (
        step_decay(0.3, 20, 0.5),
        optax.exponential_decay(0.3, 20, 0.5, staircase=True),
    ),
    "one cycle": (one_cycle(0.3, 60), optax.cosine_onecycle_schedule(60, 0.3)),
    "one late cycle": (
        one_cycle(0.3, 60, rise=0.5, start_divisor=10, final_divisor=100),
        optax.cosine_onecycle_schedule(60, 0.3, 0.5, 10, 100),
    ),
}


@pytest.mark.parametrize(("ours", "theirs"), PAIRS.values(), ids=PAIRS)
def test_every_step_is_that_of_optax(ours, theirs):
    """To the end and beyond, for Python's numbers and for traced ones."""
    traced, expected = jax.jit(jax.vmap(lambda step: (ours(step), theirs(step))))(jnp.arange(80))
    np.testing.assert_allclose(traced, expected, rtol=2e-5, atol=1e-7)
    some = [0, 9, 10, 11, 20, 50, 79]
    values = [float(ours(step)) for step in some]
    np.testing.assert_allclose(values, expected[np.array(some)], rtol=2e-5, atol=1e-7)


def test_a_peak_may_be_traced():
    """So that a sweep can map over it."""
    peaks = jnp.array([0.3, 0.1])

    def rates(make):
        return jax.vmap(lambda peak: jax.vmap(make(peak))(jnp.arange(80)))

    ours = jax.jit(rates(lambda peak: with_warmup(linear(peak, 50, final=0.05), 10)))(peaks)
    for row, peak in zip(ours, (0.3, 0.1), strict=True):
        falling = optax.linear_schedule(peak, 0.05, 50)
        theirs = optax.join_schedules([optax.linear_schedule(0.0, peak, 10), falling], [10])
        np.testing.assert_allclose(row, jax.vmap(theirs)(jnp.arange(80)), rtol=2e-5, atol=1e-7)


def test_the_peak_is_reached_at_its_step():
    assert float(warmup_cosine(0.3, 50, 10)(0)) == 0
    assert float(warmup_cosine(0.3, 50, 10)(10)) == pytest.approx(0.3)
    assert float(warmup_cosine(0.3, 50, 0)(0)) == pytest.approx(0.3)
    assert float(one_cycle(0.3, 60)(18)) == pytest.approx(0.3)
    assert float(linear(0.3, 60)(60)) == float(cosine(0.3, 60)(60)) == 0


@pytest.mark.parametrize("warmup_steps", [0, 1, 137, 999])
def test_the_warm_up_of_a_cosine_is_to_the_bit_what_recorded_runs_had(warmup_steps):
    """The formula that they were run with."""

    def recorded(step):
        passed = jnp.asarray(step, jnp.float32)
        rising = 0.0 + (0.003 - 0.0) * jnp.clip(passed / float(max(1, warmup_steps)), 0, 1)
        share = jnp.clip((passed - float(warmup_steps)) / float(1000 - warmup_steps), 0, 1)
        falling = 0.0 + (0.003 - 0.0) * 0.5 * (1 + jnp.cos(jnp.pi * share))
        return jnp.where(passed < float(warmup_steps), rising, falling)

    config = OptimizerConfig(learning_rate=0.003, warmup=warmup_steps / 1000)
    schedules = recorded, warmup_cosine(0.003, 1000, warmup_steps), make_schedule(config, 1000)
    rates = jax.jit(jax.vmap(lambda step: [schedule(step) for schedule in schedules]))
    expected, *ours = rates(jnp.arange(1005))
    for values in ours:
        np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize(
    "make",
    [
        lambda steps: cosine(0.3, steps),
        lambda steps: linear(0.3, steps),
        lambda steps: warmup_cosine(0.3, steps, steps // 2, initial=0.3),
        lambda steps: step_decay(0.3, steps, 0.5),
        lambda steps: one_cycle(0.3, steps, start_divisor=1.0),
    ],
)
def test_schedules_may_be_longer_than_int32(make):
    """After a thousand steps of ten billion, the rate is where it began."""
    for step in (1000, jnp.asarray(1000)):
        assert float(make(10**10)(step)) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: warmup_cosine(0.1, 50, 50), "warmup_steps is 50, expected less than total_steps"),
        (lambda: warmup_cosine(0.1, 50, -1), "warmup_steps is -1, expected at least 0"),
        (lambda: cosine(0.1, 0), "total_steps is 0, expected at least 1"),
        (lambda: linear(0.1, 0), "total_steps is 0, expected at least 1"),
        (lambda: linear(-0.1, 50), "peak is -0.1"),
        (lambda: linear(0.1, 50, final=float("nan")), "final is nan"),
        (lambda: with_warmup(constant(0.1), -1), "warmup_steps is -1, expected at least 0"),
        (lambda: with_warmup(constant(0.1), 5, initial=-1.0), "initial is -1.0"),
        (lambda: step_decay(0.1, 0, 0.5), "every is 0, expected at least 1"),
        (lambda: one_cycle(1, 0), "total_steps is 0, expected at least 1"),
        (lambda: one_cycle(0.1, 50, rise=1.0), "rise is 1.0, expected at least 0 and less than 1"),
        (lambda: one_cycle(0.1, 50, start_divisor=0), "start_divisor is 0.0, expected greater"),
        (lambda: constant(-0.1), "value is -0.1, expected at least 0"),
        (lambda: cosine(float("nan"), 50), "peak is nan"),
        (lambda: cosine(0.1, 50, final=float("inf")), "final is inf"),
        (lambda: warmup_cosine(0.1, 50, 5, initial=-1.0), "initial is -1.0"),
        (lambda: step_decay(0.1, 5, -0.5), "factor is -0.5"),
    ],
)
def test_values_out_of_range_are_refused(make, said):
    with pytest.raises(UsageError, match=said):
        make()
