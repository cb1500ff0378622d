"""Values that cannot work are refused with the field, the value and what would do."""

import pytest

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


def test_epochs_become_steps():
    assert FitConfig(epochs=2.5, batch_size=10).updates(45) == 10
    assert FitConfig(epochs=2.5, steps=3, batch_size=10).updates(45) == 3
