"""Optimizers and schedules, as `optax.GradientTransformation`."""

from dl_jax.optim.by_path import by_path, freeze, frozen, path_mask
from dl_jax.optim.configured import OptimizerConfig, make_optimizer, make_schedule
from dl_jax.optim.optimizers import adam, adamw, descent, momentum, nesterov, rmsprop, sgd
from dl_jax.optim.rules import Moments, UpdateRule
from dl_jax.optim.schedules import (
    Schedule,
    constant,
    cosine,
    linear,
    one_cycle,
    step_decay,
    warmup_cosine,
    with_warmup,
)

__all__ = [
    "Moments",
    "OptimizerConfig",
    "Schedule",
    "UpdateRule",
    "adam",
    "adamw",
    "by_path",
    "constant",
    "cosine",
    "descent",
    "freeze",
    "frozen",
    "linear",
    "make_optimizer",
    "make_schedule",
    "momentum",
    "nesterov",
    "one_cycle",
    "path_mask",
    "rmsprop",
    "sgd",
    "step_decay",
    "warmup_cosine",
    "with_warmup",
]
