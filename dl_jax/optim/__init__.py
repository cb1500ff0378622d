"""Optimizers as `optax.GradientTransformation`."""

from dl_jax.optim.by_path import by_path, freeze, frozen, only
from dl_jax.optim.configured import OptimizerConfig, make_optimizer, make_schedule

__all__ = [
    "OptimizerConfig",
    "by_path",
    "freeze",
    "frozen",
    "make_optimizer",
    "make_schedule",
    "only",
]
