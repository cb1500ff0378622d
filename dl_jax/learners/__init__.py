"""Learners: `(init, train_step, eval_step)`, and transformations that take one and give one."""

from dl_jax.learners.by_hand import by_hand
from dl_jax.learners.learner import Learner, TrainState
from dl_jax.learners.many_runs import over_hyperparameters, over_seeds, product
from dl_jax.learners.metrics import Metrics
from dl_jax.learners.sharded import REPLICATED, fully_sharded, local_mesh, sharded
from dl_jax.learners.supervised import supervised

__all__ = [
    "REPLICATED",
    "Learner",
    "Metrics",
    "TrainState",
    "by_hand",
    "fully_sharded",
    "local_mesh",
    "over_hyperparameters",
    "over_seeds",
    "product",
    "sharded",
    "supervised",
]
