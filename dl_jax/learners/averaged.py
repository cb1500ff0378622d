"""A running average of the parameters, to be evaluated and kept in their place."""

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from dl_jax.concrete import check_concrete
from dl_jax.learners.learner import Learner, TrainState, Weights
from dl_jax.learners.metrics import Metrics
from dl_jax.types import Batch, PRNGKey, Scalar, Tree


class Averaged(NamedTuple):
    """The optimizer's state of an averaged learner: what descends, beside the average of it.

    Attributes:
        params: the parameters that the optimizer updates.
        model_state: the model's state that belongs to them.
        opt_state: the optimizer's state.
    """

    params: Tree
    model_state: Tree
    opt_state: Tree


def averaged(learner: Learner, decay: Scalar = 0.999, only: str | None = None) -> Learner:
    """`learner` with an exponential moving average of its parameters and model state.

        average = d * average + (1 - d) * params,  d = min(decay, (1 + step) / (10 + step))

    The state's `params` and `model_state` are the average, so that whatever evaluates, keeps,
    reports or saves a state has the average; what the optimizer updates is in `opt_state`. The
    smaller decay of the first steps forgets the initial values. Integers are not averaged.

    Args:
        learner: any learner, also one of several replicas.
        decay: in [0, 1); it may be swept. With 0 the average is the last parameters.
        only: of several networks, the one that is averaged: its key in `params` and `model_state`,
            such as `generator`; the others are as they are.

    Raises:
        UsageError: the decay is out of range.

    Source: Polyak and Juditsky (1992), "Acceleration of stochastic approximation by averaging"; the
    first steps as in TensorFlow's `ExponentialMovingAverage`.
    """
    check_concrete("decay", decay, low=0, high=1, exclusive_high=True)

    def init(key: PRNGKey, start: Weights | None = None) -> TrainState:
        state = learner.init(key, start)
        params, model_state = jax.tree.map(jnp.copy, (state.params, state.model_state))
        return replace(state, opt_state=Averaged(params, model_state, state.opt_state))

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        before: Averaged = state.opt_state
        step = state.step.reshape(-1)[0]  # all replicas have made as many
        d = jnp.minimum(decay, (1 + step) / (10 + step))
        after, metrics = learner.train_step(replace(state, **before._asdict()), batch)

        def average(old: Tree, new: Tree) -> Tree:
            if only is None:
                return jax.tree.map(average_leaf, old, new)
            return {**new, only: jax.tree.map(average_leaf, old[only], new[only])}

        def average_leaf(old: Array, new: Array) -> Array:
            if not jnp.issubdtype(new.dtype, jnp.inexact):
                return new
            return (d * old + (1 - d) * new).astype(new.dtype)

        params = average(state.params, after.params)
        model_state = average(state.model_state, after.model_state)
        opt_state = Averaged(after.params, after.model_state, after.opt_state)
        return replace(
            after, params=params, model_state=model_state, opt_state=opt_state
        ), metrics  # fmt: skip

    def eval_step(state: TrainState, batch: Batch) -> Metrics:
        return learner.eval_step(replace(state, opt_state=state.opt_state.opt_state), batch)

    return learner._replace(init=init, train_step=train_step, eval_step=eval_step)
