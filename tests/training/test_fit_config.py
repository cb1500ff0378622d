"""Values that cannot work are refused with the field, the value and what would do."""

from dataclasses import dataclass

import numpy as np
import pytest

from dl_jax.configuration import determining
from dl_jax.data import Dataset, Windows
from dl_jax.errors import UsageError
from dl_jax.optim import OptimizerConfig
from dl_jax.training import FitConfig


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs is 0, expected greater than 0"),
        ({"epochs": float("nan")}, "epochs is nan"),
        ({"steps": 0}, "steps is 0, expected at least 1"),
        ({"batch_size": -1}, "batch_size is -1, expected at least 1"),
        ({"log_every": 0}, "log_every is 0, expected at least 1"),
        ({"seed": -1}, "seed is -1, expected at least 0"),
        ({"patience": -2}, "patience is -2"),
        ({"steps": 2**31}, "steps is 2147483648, .* at most 2147483647"),
        ({"seed": 10**30}, "seed is 10{30}, .* at most"),
    ],
)
def test_fit(change: dict, message: str):
    with pytest.raises(UsageError, match=message):
        FitConfig(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": -0.1}, "learning_rate is -0.1, expected greater than 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"weight_decay": -1.0}, "weight_decay is -1.0, expected at least 0"),
        ({"warmup": 1.0}, "warmup is 1.0, expected at least 0 and less than 1"),
        ({"clip_norm": -1.0}, "clip_norm is -1.0"),
    ],
)
def test_optimizer(change: dict, message: str):
    with pytest.raises(UsageError, match=message):
        OptimizerConfig(**change)


def test_stops_are_the_multiples_of_every_interval():
    config = FitConfig(steps=10, log_every=4, evaluate_every=6, checkpoint_every=5)
    stops, step = [], 0
    while step < 10:
        step = config.next_stop(step, steps_per_epoch=100)
        stops.append(step)
    assert stops == [4, 5, 6, 8, 10]


def examples(count: int) -> Dataset:
    return Dataset("count", "train", {"x": np.arange(count)})


def test_epochs_become_steps():
    assert FitConfig(epochs=2.5, batch_size=10).updates(examples(45)) == 10
    assert FitConfig(epochs=2.5, steps=3, batch_size=10).updates(examples(45)) == 3
    text = Windows("text", "train", {"tokens": np.arange(101)}, window=5)  # of 20 windows
    assert FitConfig(epochs=3, batch_size=6).updates(text) == 9


def test_more_steps_than_a_counter_holds_are_refused():
    with pytest.raises(UsageError, match="are 4000000000 steps, expected at most 2147483647"):
        FitConfig(epochs=1e9, batch_size=10).updates(examples(45 + 4))


@pytest.mark.parametrize(
    ("monitor", "mode", "maximizes"),
    [
        ("loss", "auto", False),
        ("accuracy", "auto", True),
        ("loss", "max", True),
        ("x", "min", False),
    ],
)
def test_what_is_monitored_is_minimized_or_maximized(monitor: str, mode, maximizes: bool):
    assert FitConfig(monitor=monitor, monitor_mode=mode).maximizes is maximizes


def test_resuming_may_change_speed_and_where_the_schedule_allows_it_length():
    @dataclass(frozen=True)
    class Config:
        optimizer: OptimizerConfig
        fit: FitConfig

    cosine = OptimizerConfig(schedule="cosine")
    constant = OptimizerConfig(schedule="constant")
    determines = {"batch_size", "evaluate_every", "monitor", "monitor_mode", "seed"}
    assert determining(Config(constant, FitConfig()))["fit"].keys() == determines
    assert determining(Config(cosine, FitConfig()))["fit"].keys() == determines | {
        "epochs", "steps"
    }  # fmt: skip
