"""Learners: `(init, train_step, eval_step)`, and transformations that take one and give one."""

from dl_jax.learners.adversarial import adversarial
from dl_jax.learners.adversarial_objectives import OBJECTIVES, AdversarialObjective
from dl_jax.learners.augment import (
    augment_all,
    augment_images,
    drop_words,
    flip_every_other_epoch,
    mix_images,
    part_of_text,
)
from dl_jax.learners.autoencoding import reconstructing, variational
from dl_jax.learners.averaged import averaged
from dl_jax.learners.games import GAMES, Game, GameName
from dl_jax.learners.language_model import language_model
from dl_jax.learners.learner import Learner, TrainState, Weights, check_start, initial_weights
from dl_jax.learners.manual_backprop import manual_backprop
from dl_jax.learners.masked_language_model import hide_tokens, masked_language_model
from dl_jax.learners.metrics import Metrics
from dl_jax.learners.objective import Objective, Outcome, example_keys, from_objective
from dl_jax.learners.replicas import (
    flatten_replicas,
    over_hyperparameters,
    over_seeds,
    product,
)
from dl_jax.learners.sequence_to_sequence import sequence_to_sequence
from dl_jax.learners.sharded import REPLICATED, fully_sharded, global_mesh, local_mesh, sharded
from dl_jax.learners.supervised import supervised

__all__ = [
    "GAMES",
    "OBJECTIVES",
    "REPLICATED",
    "AdversarialObjective",
    "Game",
    "GameName",
    "Learner",
    "Metrics",
    "Objective",
    "Outcome",
    "TrainState",
    "Weights",
    "adversarial",
    "augment_all",
    "augment_images",
    "averaged",
    "check_start",
    "drop_words",
    "example_keys",
    "flatten_replicas",
    "flip_every_other_epoch",
    "from_objective",
    "fully_sharded",
    "global_mesh",
    "hide_tokens",
    "initial_weights",
    "language_model",
    "local_mesh",
    "manual_backprop",
    "masked_language_model",
    "mix_images",
    "over_hyperparameters",
    "over_seeds",
    "part_of_text",
    "product",
    "reconstructing",
    "sequence_to_sequence",
    "sharded",
    "supervised",
    "variational",
]
