"""Supervised learning: inputs, targets and a loss for each example."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import jax
import optax
from jaxtyping import Array, Float

from dl_jax.errors import UsageError
from dl_jax.functional import correct
from dl_jax.learners.batches import check_batch
from dl_jax.learners.learner import Learner
from dl_jax.learners.metrics import Metrics
from dl_jax.learners.objective import Outcome, from_objective
from dl_jax.models import Model
from dl_jax.shape_checks import TypeCheckError, explain
from dl_jax.types import Batch, Params, PRNGKey, State, Tree

PerExample = Callable[[Array, Array], Float[Array, "batch ..."]]
Augment = Callable[..., Batch]


def supervised(
    model: Model,
    loss: PerExample,
    optimizer: optax.GradientTransformation,
    *,
    inputs: str = "image",
    targets: str = "label",
    metrics: Mapping[str, PerExample] = MappingProxyType({"accuracy": correct}),
    eval_loss: PerExample | None = None,
    augment: Augment | None = None,
    microbatches: int = 1,
) -> Learner:
    """The learner that minimizes the mean of `loss(outputs, targets)` over each batch.

    Args:
        model: maps the batch's inputs to outputs.
        loss: one value per example, such as `dl_jax.functional.cross_entropy`, or per token where
            there is a target for each.
        optimizer: turns gradients into updates.
        inputs: name of the inputs in a batch.
        targets: name of the targets in a batch.
        metrics: further values per example, reported beside `loss`.
        eval_loss: what is reported as `loss` in evaluation, where it differs from `loss`: the loss
            without label smoothing.
        augment: `augment(batch, key=key) -> batch`, applied only in training, so that boxes move
            with their image and labels mix with theirs. Where it changes the shape of the targets,
            as mixing does, the metrics beside the loss are left out of training.
        microbatches: gradient accumulation, as for `from_objective`.

    Raises:
        UsageError: `microbatches` is not a positive integer, or a metric is named `loss`; and, when
            the learner is traced, the batch has no such arrays, their numbers of examples differ,
            microbatches do not divide it, or the loss or a metric is not one value per example.
    """
    if "loss" in metrics:
        raise UsageError(
            "metrics has one named 'loss', which is the name of the loss itself: choose another"
        )

    def objective(
        params: Params, model_state: State, carry: Tree, batch: Batch, *, train: bool, key: PRNGKey
    ) -> Outcome:
        check_batch(batch, inputs, targets)
        augment_key, model_key = jax.random.split(key)
        before = batch[targets].shape
        if train and augment is not None:
            batch = augment(batch, key=augment_key)
            check_batch(batch, inputs, targets)
        outputs, model_state = model.apply(
            params, model_state, batch[inputs], train=train, key=model_key if train else None
        )
        measured = {"loss": loss if train or eval_loss is None else eval_loss}
        if batch[targets].shape == before:
            measured |= metrics
        values = _measure(measured, outputs, batch[targets])
        return Outcome(Metrics.of(values, batch.get("mask")), model_state, carry)

    return from_objective(model.init, objective, optimizer, microbatches=microbatches)


def _measure(
    named: Mapping[str, PerExample], outputs: Array, targets: Array
) -> dict[str, Float[Array, "batch ..."]]:
    """The value of each function, which must be one per example, or one per target.

    Raises:
        UsageError: it is not, or a metric does not fit the outputs.
    """
    measured = {}
    for name, function in named.items():
        try:
            measured[name] = function(outputs, targets)
        except TypeCheckError as error:
            if name == "loss":
                raise
            raise UsageError(
                f"the metric {name!r} does not fit the outputs and targets ({explain(error)}): "
                "pass metrics={} or metrics of your own"
            ) from error
        per = [targets.shape[: axes + 1] for axes in range(targets.ndim)]
        if measured[name].shape not in per:
            raise UsageError(
                f"{name} of a batch has shape {measured[name].shape}, expected "
                f"{targets.shape[:1]}: one value per example, not their mean"
            )
    return measured
