"""An optimizer from plain values: update rule, schedule, weight decay and clipping."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import optax

from dl_jax.errors import UsageError, check_choice, check_integer, check_range
from dl_jax.optim.by_path import path_mask
from dl_jax.optim.optimizers import descent
from dl_jax.optim.rules import (
    B1,
    B2,
    UpdateRule,
    adaptive_moments,
    heavy_ball,
    plain,
    root_mean_square,
)
from dl_jax.optim.schedules import (
    Schedule,
    constant,
    cosine,
    linear,
    one_cycle,
    step_decay,
    with_warmup,
)

RULES: dict[str, Callable[..., UpdateRule]] = {
    "adam": adaptive_moments,
    "momentum": heavy_ball,
    "nesterov": partial(heavy_ball, nesterov=True),
    "rmsprop": root_mean_square,
    "sgd": plain,
}
SCHEDULES = ("constant", "cosine", "linear", "one_cycle", "step")


@dataclass(frozen=True)
class OptimizerConfig:
    """An optimizer with its schedule."""

    optimizer: Literal["adam", "momentum", "nesterov", "rmsprop", "sgd"] = "adam"
    """Update rule."""
    learning_rate: float = 1e-3
    """Peak learning rate."""
    schedule: Literal["constant", "cosine", "linear", "step", "one_cycle"] = "cosine"
    """Learning rate after the warm-up: constant, to zero along a cosine or a line, or decayed in
    steps; one_cycle goes up from 1/25 of the peak and down to almost zero, along cosines."""
    warmup: float = 0.0
    """Fraction of the steps over which the learning rate rises, in [0, 1): linearly from zero, or
    with schedule one_cycle, which needs more than 0, along a cosine."""
    weight_decay: float = 0.0
    """Decoupled weight decay (kernels only)."""
    clip_norm: float = 0.0
    """Clip gradients to this global norm; 0 disables."""
    beta1: float = B1
    """Adam's decay of the mean of gradients, in [0, 1)."""
    beta2: float = B2
    """Adam's decay of the mean of squared gradients, in [0, 1)."""
    step_every: float = 1 / 3
    """Fraction of the steps after the warm-up between two decays of schedule step, in (0, 1]."""
    step_factor: float = 0.1
    """Factor of each decay of schedule step, in (0, 1]."""

    def __post_init__(self) -> None:
        check_choice("optimizer", self.optimizer, RULES)
        check_choice("schedule", self.schedule, SCHEDULES)
        check_range("learning_rate", self.learning_rate, low=0, exclusive_low=True, high=1e6)
        check_range("warmup", self.warmup, low=0, high=1, exclusive_high=True)
        check_range("weight_decay", self.weight_decay, low=0, high=1e6)
        check_range("clip_norm", self.clip_norm, low=0, high=1e9)
        check_range("beta1", self.beta1, low=0, high=1, exclusive_high=True)
        check_range("beta2", self.beta2, low=0, high=1, exclusive_high=True)
        check_range("step_every", self.step_every, low=0, exclusive_low=True, high=1)
        check_range("step_factor", self.step_factor, low=0, exclusive_low=True, high=1)
        if self.schedule == "one_cycle" and self.warmup == 0:
            raise UsageError(
                f"warmup is {self.warmup}, expected greater than 0 with schedule one_cycle, as the "
                "fraction of the steps that rise: pass e.g. --warmup 0.3"
            )

    @property
    def depends_on_length(self) -> bool:
        """Whether the learning rate at a step depends on the number of steps in all."""
        return self.schedule != "constant" or self.warmup > 0


def make_schedule(config: OptimizerConfig, total_steps: int) -> Schedule:
    """The learning rate as a function of the step: a warm-up, and a schedule over what is left."""
    check_integer("total_steps", total_steps, low=1, high=None)
    peak, warmup_steps = config.learning_rate, round(config.warmup * total_steps)
    warmup_steps = min(warmup_steps, total_steps - 1)
    left = total_steps - warmup_steps
    match config.schedule:
        case "one_cycle":
            return one_cycle(peak, total_steps, rise=config.warmup)
        case "constant":
            schedule = constant(peak)
        case "cosine":
            schedule = cosine(peak, left)
        case "linear":
            schedule = linear(peak, left)
        case "step":
            # Rounded up, so that thirds of 100 steps do not end with a decay at step 99.
            every = math.ceil(round(config.step_every * left, 6))
            schedule = step_decay(peak, max(1, every), config.step_factor)
    return with_warmup(schedule, warmup_steps)


def make_optimizer(config: OptimizerConfig, total_steps: int) -> optax.GradientTransformation:
    """Clipping, then the update rule with weight decay on kernels."""
    decays = (config.beta1, config.beta2) if config.optimizer == "adam" else ()
    optimizer = descent(
        RULES[config.optimizer](*decays),
        make_schedule(config, total_steps),
        weight_decay=config.weight_decay,
        # Not strict: a group of biases has no kernels.
        mask=path_mask(".*kernel", strict=False),
    )
    if config.clip_norm == 0:
        return optimizer
    return optax.chain(optax.clip_by_global_norm(config.clip_norm), optimizer)
