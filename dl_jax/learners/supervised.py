"""Supervised learning: inputs, targets and a loss for each example."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Shaped

from dl_jax.errors import UsageError, check_integer
from dl_jax.functional import correct
from dl_jax.learners.batches import check_batch
from dl_jax.learners.learner import Learner, TrainState
from dl_jax.learners.metrics import Metrics
from dl_jax.models import Model
from dl_jax.shape_checks import TypeCheckError, explain
from dl_jax.types import Batch, Params, PRNGKey, State, Tree

PerExample = Callable[[Array, Array], Float[Array, " batch"]]
Augment = Callable[..., Shaped[Array, "batch ..."]]


def supervised(
    model: Model,
    loss: PerExample,
    optimizer: optax.GradientTransformation,
    *,
    inputs: str = "image",
    targets: str = "label",
    metrics: Mapping[str, PerExample] = MappingProxyType({"accuracy": correct}),
    augment: Augment | None = None,
    microbatches: int = 1,
) -> Learner:
    """The learner that minimizes the mean of `loss(outputs, targets)` over each batch.

    Args:
        model: maps the batch's inputs to outputs.
        loss: one value per example, such as `dl_jax.functional.cross_entropy`.
        optimizer: turns gradients into updates.
        inputs: name of the inputs in a batch.
        targets: name of the targets in a batch.
        metrics: further values per example, reported beside `loss`.
        augment: `augment(inputs, key=key)`, applied only in training.
        microbatches: gradient accumulation: split each batch into this many microbatches, with one
            update per batch. Same result, less memory (running statistics excepted).

    Raises:
        UsageError: `microbatches` is not a positive integer, or a metric is named `loss`; and, when
            the learner is traced, the batch has no such arrays, their numbers of examples differ,
            microbatches do not divide it, or the loss or a metric is not one value per example.
    """
    check_integer("microbatches", microbatches, low=1)
    if "loss" in metrics:
        raise UsageError(
            "metrics has one named 'loss', which is the name of the loss itself: choose another"
        )

    def init(key: PRNGKey) -> TrainState:
        params_key, run_key = jax.random.split(key)
        params, model_state = model.init(params_key)
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            model_state=model_state,
            opt_state=optimizer.init(params),
            key=run_key,
        )

    def values(outputs: Array, batch: Batch) -> dict[str, Float[Array, " batch"]]:
        named, examples = {"loss": loss, **metrics}, batch[targets].shape[:1]
        measured = {}
        for name, function in named.items():
            try:
                measured[name] = function(outputs, batch[targets])
            except TypeCheckError as error:
                if name == "loss":
                    raise
                raise UsageError(
                    f"the metric {name!r} does not fit the outputs and targets ({explain(error)}): "
                    "pass metrics={} or metrics of your own"
                ) from error
        for name, value in measured.items():
            if value.shape != examples:
                raise UsageError(
                    f"{name} of a batch has shape {value.shape}, expected {examples}: one value "
                    "per example, not their mean"
                )
        return measured

    def objective(
        params: Params, model_state: State, batch: Batch, key: PRNGKey, total: Array
    ) -> tuple[Float[Array, ""], tuple[State, Metrics]]:
        """This batch's share of the mean loss over `total` examples."""
        augment_key, model_key = jax.random.split(key)
        x = batch[inputs] if augment is None else augment(batch[inputs], key=augment_key)
        outputs, model_state = model.apply(params, model_state, x, train=True, key=model_key)
        measured = Metrics.of(values(outputs, batch), batch.get("mask"))
        return measured.sums["loss"] / total, (model_state, measured)

    gradient = jax.grad(objective, has_aux=True)

    def accumulated(
        params: Params, model_state: State, batch: Batch, key: PRNGKey, total: Array
    ) -> tuple[Tree, tuple[State, Metrics]]:
        """`gradient` of the whole batch, accumulated over microbatches."""
        size = batch[targets].shape[0]
        if size % microbatches:
            raise UsageError(
                f"a batch of {size} examples cannot be split into {microbatches} equal "
                "microbatches: make the batch size a multiple"
            )
        parts = {name: a.reshape(microbatches, -1, *a.shape[1:]) for name, a in batch.items()}
        first = {name: a[0] for name, a in parts.items()}
        rest = {name: a[1:] for name, a in parts.items()}

        def add(carry: Tree, part: tuple[Array, Batch]) -> tuple[Tree, None]:
            gradients, (model_state, measured) = carry
            index, examples = part
            new_gradients, (model_state, new_measured) = gradient(
                params, model_state, examples, jax.random.fold_in(key, index), total
            )
            gradients = jax.tree.map(jnp.add, gradients, new_gradients)
            return (gradients, (model_state, measured.merge(new_measured))), None

        start = gradient(params, model_state, first, jax.random.fold_in(key, 0), total)
        # On CPU a convolution in a compiled loop is thirty times slower than in an unrolled one.
        unroll = jax.default_backend() == "cpu"
        return jax.lax.scan(add, start, (jnp.arange(1, microbatches), rest), unroll=unroll)[0]

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        check_batch(batch, inputs, targets)
        key = jax.random.fold_in(state.key, state.step)
        batch, mask = _blanked(batch), batch.get("mask")
        total = jnp.asarray(batch[targets].shape[0] if mask is None else (mask != 0).sum())
        gradients_of = gradient if microbatches == 1 else accumulated
        gradients, (model_state, measured) = gradients_of(
            state.params, state.model_state, batch, key, total
        )
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        state = replace(
            state,
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            model_state=model_state,
            opt_state=opt_state,
        )
        return state, measured

    def eval_step(state: TrainState, batch: Batch) -> Metrics:
        check_batch(batch, inputs, targets)
        outputs, _ = model.apply(state.params, state.model_state, batch[inputs], train=False)
        return Metrics.of(values(outputs, batch), batch.get("mask"))

    return Learner(init, train_step, eval_step)


def _blanked(batch: Batch) -> Batch:
    """`batch` with zeros in the examples whose mask is 0.

    Their loss is masked already, but in the gradient 0 * nan is nan: their values must be finite.
    """
    if "mask" not in batch:
        return batch

    def blank(array: Shaped[Array | np.ndarray, "batch ..."]) -> Shaped[Array, "batch ..."]:
        counts = (batch["mask"] != 0).reshape(-1, *[1] * (array.ndim - 1))
        return jnp.where(counts, array, jnp.zeros_like(array))

    return {name: blank(array) for name, array in batch.items()}
