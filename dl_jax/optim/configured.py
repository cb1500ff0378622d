"""An optimizer from plain values: update rule, schedule, weight decay and clipping."""

from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
import optax

from dl_jax.errors import check_choice, check_range
from dl_jax.optim.by_path import path_mask
from dl_jax.optim.optimizers import descent
from dl_jax.optim.rules import adaptive_moments, heavy_ball, plain, root_mean_square
from dl_jax.optim.schedules import Schedule, constant, warmup_cosine

RULES = {
    "adam": adaptive_moments(),
    "momentum": heavy_ball(),
    "nesterov": heavy_ball(nesterov=True),
    "rmsprop": root_mean_square(),
    "sgd": plain(),
}


@dataclass(frozen=True)
class OptimizerConfig:
    """An optimizer with its schedule."""

    optimizer: Literal["adam", "momentum", "nesterov", "rmsprop", "sgd"] = "adam"
    """Update rule."""
    learning_rate: float = 1e-3
    """Peak learning rate."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """Learning rate after the warm-up: constant, or along a cosine to zero."""
    warmup: float = 0.0
    """Fraction of the steps over which the learning rate rises linearly from zero, in [0, 1)."""
    weight_decay: float = 0.0
    """Decoupled weight decay (kernels only)."""
    clip_norm: float = 0.0
    """Clip gradients to this global norm; 0 disables."""

    def __post_init__(self) -> None:
        check_choice("optimizer", self.optimizer, RULES)
        check_choice("schedule", self.schedule, ("constant", "cosine"))
        check_range("learning_rate", self.learning_rate, low=0, exclusive_low=True, high=1e6)
        check_range("warmup", self.warmup, low=0, high=1, exclusive_high=True)
        check_range("weight_decay", self.weight_decay, low=0, high=1e6)
        check_range("clip_norm", self.clip_norm, low=0, high=1e9)

    @property
    def depends_on_length(self) -> bool:
        """Whether the learning rate at a step depends on the number of steps in all."""
        return self.schedule != "constant" or self.warmup > 0


def make_schedule(config: OptimizerConfig, total_steps: int) -> Schedule:
    """The learning rate as a function of the step."""
    rise = min(round(config.warmup * total_steps), total_steps - 1)
    if config.schedule == "cosine":
        return warmup_cosine(config.learning_rate, total_steps, rise)
    if rise == 0:
        return constant(config.learning_rate)
    return lambda step: config.learning_rate * jnp.minimum(1, step / rise)


def make_optimizer(config: OptimizerConfig, total_steps: int) -> optax.GradientTransformation:
    """Clipping, then the update rule with weight decay on kernels."""
    optimizer = descent(
        RULES[config.optimizer],
        make_schedule(config, total_steps),
        weight_decay=config.weight_decay,
        # Not strict: a group of biases has no kernels.
        mask=path_mask(".*kernel", strict=False),
    )
    if config.clip_norm == 0:
        return optimizer
    return optax.chain(optax.clip_by_global_norm(config.clip_norm), optimizer)
