"""An optimizer from plain values: the rule, its schedule, its decay and its clipping."""

from dataclasses import dataclass
from typing import Literal

import optax

from dl_jax.errors import check_choice, check_range
from dl_jax.optim.by_path import only


@dataclass(frozen=True)
class OptimizerConfig:
    """How gradients become updates."""

    optimizer: Literal["adam", "momentum", "sgd"] = "adam"
    """Update rule."""
    learning_rate: float = 1e-3
    """Peak learning rate."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """Course of the learning rate after the warm-up: constant, or to zero along a cosine."""
    warmup: float = 0.0
    """Share of the training during which the learning rate rises linearly from zero, in [0, 1)."""
    weight_decay: float = 0.0
    """Share of each kernel taken off per step and learning rate (decoupled); biases keep theirs."""
    clip_norm: float = 0.0
    """Norm to which longer gradients are shortened; 0 is never."""

    def __post_init__(self) -> None:
        check_choice("optimizer", self.optimizer, ("adam", "momentum", "sgd"))
        check_choice("schedule", self.schedule, ("constant", "cosine"))
        check_range("learning_rate", self.learning_rate, low=0, exclusive_low=True, high=1e6)
        check_range("warmup", self.warmup, low=0, high=1, exclusive_high=True)
        check_range("weight_decay", self.weight_decay, low=0, high=1e6)
        check_range("clip_norm", self.clip_norm, low=0, high=1e9)


def make_schedule(config: OptimizerConfig, total_steps: int) -> optax.Schedule:
    """The learning rate as a function of the step.

    Source: Loshchilov and Hutter (2016), arXiv:1608.03983, equation 5, for the cosine.
    """
    rise = round(config.warmup * total_steps)
    rest = max(1, total_steps - rise)
    if config.schedule == "cosine":
        after = optax.cosine_decay_schedule(config.learning_rate, rest)
    else:
        after = optax.constant_schedule(config.learning_rate)
    if rise == 0:
        return after
    return optax.join_schedules(
        [optax.linear_schedule(0.0, config.learning_rate, rise), after], [rise]
    )


def make_optimizer(config: OptimizerConfig, total_steps: int) -> optax.GradientTransformation:
    """Clipping, then the update rule, then decay of the kernels, then the learning rate.

    Source: Loshchilov and Hutter (2017), arXiv:1711.05101, for decoupled decay.
    """
    rules = {
        "adam": optax.scale_by_adam,
        "momentum": lambda: optax.trace(decay=0.9),
        "sgd": optax.identity,
    }
    parts = [rules[config.optimizer]()]
    if config.clip_norm > 0:
        parts.insert(0, optax.clip_by_global_norm(config.clip_norm))
    if config.weight_decay > 0:
        # Needless where there are no kernels, as in a group of biases.
        kernels = only(".*kernel", needed=False)
        parts.append(optax.add_decayed_weights(config.weight_decay, mask=kernels))
    return optax.chain(*parts, optax.scale_by_learning_rate(make_schedule(config, total_steps)))
