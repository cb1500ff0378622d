"""Supervised learning with gradients from backpropagation by hand."""

from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp
import optax

from dl_jax.backprop import Op, mean_loss
from dl_jax.errors import UsageError
from dl_jax.functional import correct
from dl_jax.learners.batches import check_batch
from dl_jax.learners.learner import Learner, TrainState
from dl_jax.learners.metrics import Metrics
from dl_jax.types import Batch, Params, PRNGKey, State


def manual_backprop(
    init_params: Callable[[PRNGKey], tuple[Params, State]],
    network: Op,
    loss: Op,
    optimizer: optax.GradientTransformation,
    *,
    inputs: str = "image",
    targets: str = "label",
) -> Learner:
    """The learner of a classifier whose gradients come from `dl_jax.backprop` alone.

    Args:
        init_params: `init` of a model whose parameters have the names of the network's layers.
        network: an op, such as a chain of ops, from inputs to logits.
        loss: an op with one loss per example.
        optimizer: turns gradients into updates.
        inputs: name of the inputs in a batch.
        targets: name of the targets in a batch.

    Raises:
        UsageError: when traced, the batch has no such arrays or their numbers of examples differ,
            or a training batch has a mask.
    """

    def init(key: PRNGKey) -> TrainState:
        params_key, run_key = jax.random.split(key)
        params, model_state = init_params(params_key)
        opt_state = optimizer.init(params)
        return TrainState(jnp.zeros((), jnp.int32), params, model_state, opt_state, run_key)

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        check_batch(batch, inputs, targets)
        if "mask" in batch:
            raise UsageError(
                "manual_backprop got a training batch with a mask, which it does not support: "
                "train on whole batches"
            )
        losses, logits, gradients = mean_loss(
            network, loss, state.params, batch[inputs], batch[targets]
        )
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        measured = {"loss": losses, "accuracy": correct(logits, batch[targets])}
        step = state.step + 1
        return replace(state, step=step, params=params, opt_state=opt_state), Metrics.of(measured)

    def eval_step(state: TrainState, batch: Batch) -> Metrics:
        check_batch(batch, inputs, targets)
        logits, _ = network.forward(state.params, batch[inputs])
        losses, _ = loss.forward(logits, batch[targets])
        measured = {"loss": losses, "accuracy": correct(logits, batch[targets])}
        return Metrics.of(measured, batch.get("mask"))

    return Learner(init, train_step, eval_step)
