"""Learners: `(init, train_step, eval_step)`, and transformations that take one and give one."""

from dl_jax.learners.learner import Learner, TrainState
from dl_jax.learners.manual_backprop import manual_backprop
from dl_jax.learners.metrics import Metrics
from dl_jax.learners.replicas import (
    flatten_replicas,
    over_hyperparameters,
    over_seeds,
    product,
)
from dl_jax.learners.sharded import REPLICATED, fully_sharded, local_mesh, sharded
from dl_jax.learners.supervised import supervised

__all__ = [
    "REPLICATED",
    "Learner",
    "Metrics",
    "TrainState",
    "flatten_replicas",
    "fully_sharded",
    "local_mesh",
    "manual_backprop",
    "over_hyperparameters",
    "over_seeds",
    "product",
    "sharded",
    "supervised",
]
