"""Supervised learning with gradients from backpropagation by hand."""

from collections.abc import Callable

import optax

from dl_jax.backprop import Op, mean_loss
from dl_jax.errors import UsageError
from dl_jax.functional import correct
from dl_jax.learners.batches import check_batch
from dl_jax.learners.learner import Learner
from dl_jax.learners.metrics import Metrics
from dl_jax.learners.objective import Outcome, from_objective
from dl_jax.types import Array, Batch, Params, PRNGKey, State, Tree


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

    def outcome(losses: Array, logits: Array, batch: Batch, model_state: State) -> Outcome:
        values = {"loss": losses, "accuracy": correct(logits, batch[targets])}
        return Outcome(Metrics.of(values, batch.get("mask")), model_state)

    def objective(
        params: Params, model_state: State, carry: Tree, batch: Batch, *, train: bool, key: PRNGKey
    ) -> Outcome:
        del carry, train, key
        check_batch(batch, inputs, targets)
        logits, _ = network.forward(params, batch[inputs])
        return outcome(loss.forward(logits, batch[targets])[0], logits, batch, model_state)

    def gradient(
        params: Params, model_state: State, carry: Tree, batch: Batch, *, key: PRNGKey
    ) -> tuple[Params, Outcome]:
        del carry, key
        check_batch(batch, inputs, targets)
        if "mask" in batch:
            raise UsageError(
                "manual_backprop got a training batch with a mask, which it does not support: "
                "train on whole batches"
            )
        losses, logits, gradients = mean_loss(network, loss, params, batch[inputs], batch[targets])
        return gradients, outcome(losses, logits, batch, model_state)

    return from_objective(init_params, objective, optimizer, gradient=gradient)
