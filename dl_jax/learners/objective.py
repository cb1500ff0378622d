"""Learning as descent on an objective: the one training step that most learners share."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from dl_jax.compilation import scan
from dl_jax.errors import UsageError, check_integer
from dl_jax.learners.batches import batch_size, blanked, split_batch
from dl_jax.learners.learner import Learner, TrainState, Weights, initial_weights
from dl_jax.learners.metrics import Metrics
from dl_jax.paths import layout, unlike
from dl_jax.types import Batch, Params, PRNGKey, State, Tree


class Outcome(NamedTuple):
    """What an objective gives for a batch.

    Attributes:
        metrics: sums and counts; the mean of the one named `loss` is minimized.
        model_state: the model's state afterwards.
        carry: what the next training batch begins with.
    """

    metrics: Metrics
    model_state: State | Mapping[str, Any] = MappingProxyType({})
    carry: Tree = ()


Objective: TypeAlias = Callable[..., Outcome]
"""`objective(params, model_state, carry, batch, *, train, key) -> outcome`."""

Gradient: TypeAlias = Callable[..., tuple[Params, Outcome]]
"""`gradient(params, model_state, carry, batch, *, key) -> (gradient, outcome)`: the gradient of the
mean loss of a training batch."""


def from_objective(
    init: Callable[[PRNGKey], Weights],
    objective: Objective,
    optimizer: optax.GradientTransformation,
    *,
    microbatches: int = 1,
    carry: Tree = (),
    gradient: Gradient | None = None,
) -> Learner:
    """The learner that descends on an objective.

    The mean loss of a batch is the sum of its losses over their count, so that each example, or
    each token, weighs the same, also with masks and in microbatches.

    Args:
        init: `init(key) -> (params, model_state)`, such as a model's.
        objective: gives the metrics of a batch, one of them named `loss`. In training its key is
            `fold_in(state.key, step)`, in evaluation `fold_in(state.key, 0)`; what draws there
            should fold in `batch["index"]` (`example_keys`), so that the draws do not depend on the
            evaluation batch.
        optimizer: turns gradients into updates.
        microbatches: gradient accumulation: split each batch into this many microbatches, with one
            update per batch. Same result, less memory (running statistics excepted).
        carry: zeros for one training batch, the batch along their first axis. The objective gets
            what it returned for the batch before; no gradient passes. Evaluation gets zeros.
        gradient: takes the place of JAX's, as in backpropagation by hand.

    Raises:
        UsageError: `microbatches` is not a positive integer; and, when the learner is traced,
            microbatches do not divide a batch, no metric is named `loss`, the carry changes its
            shapes, or `start` does not fit.
    """
    check_integer("microbatches", microbatches, low=1)
    gradient_of = autodiff(objective) if gradient is None else gradient

    def initial(key: PRNGKey, start: Weights | None = None) -> TrainState:
        params_key, run_key = jax.random.split(key)
        params, model_state = initial_weights(init, params_key, start)
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            model_state=model_state,
            opt_state=optimizer.init(params),
            key=run_key,
            carry=jax.tree.map(jnp.zeros_like, carry),
        )

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        _check_carry_fits(state.carry, batch_size(batch))
        key = jax.random.fold_in(state.key, state.step)
        gradients_of = gradient_of
        if microbatches > 1:
            gradients_of = accumulated(gradient_of, microbatches)
        gradients, outcome = gradients_of(
            state.params, state.model_state, state.carry, blanked(batch), key=key
        )
        _check_unchanged("carry", state.carry, outcome.carry)
        _check_unchanged("model_state", state.model_state, dict(outcome.model_state))
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        state = replace(
            state,
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            model_state=dict(outcome.model_state),
            opt_state=opt_state,
            carry=outcome.carry,
        )
        return state, outcome.metrics

    def eval_step(state: TrainState, batch: Batch) -> Metrics:
        size = batch_size(batch)
        zeros = jax.tree.map(lambda leaf: jnp.zeros((size, *leaf.shape[1:]), leaf.dtype), carry)
        key = jax.random.fold_in(state.key, 0)
        outcome = objective(state.params, state.model_state, zeros, batch, train=False, key=key)
        return outcome.metrics

    return Learner(initial, train_step, eval_step)


def autodiff(objective: Objective) -> Gradient:
    """JAX's gradient of the mean loss."""

    def mean_loss(
        params: Params, model_state: State, carry: Tree, batch: Batch, key: PRNGKey
    ) -> tuple[Float[Array, ""], Outcome]:
        outcome = objective(params, model_state, carry, batch, train=True, key=key)
        if not isinstance(outcome, Outcome):
            raise UsageError(
                f"the objective returned a {type(outcome).__name__}, expected an Outcome, such as "
                'Outcome(Metrics.of({"loss": losses}), model_state, carry)'
            )
        sums, counts = outcome.metrics.sums, outcome.metrics.counts
        if "loss" not in sums:
            raise UsageError(
                f"the objective's metrics are {', '.join(sums) or 'none'}, expected one named "
                "'loss': it is minimized"
            )
        return sums["loss"] / jnp.maximum(counts["loss"], 1), outcome

    differentiated = jax.grad(mean_loss, has_aux=True)

    def gradient(
        params: Params, model_state: State, carry: Tree, batch: Batch, *, key: PRNGKey
    ) -> tuple[Params, Outcome]:
        return differentiated(params, model_state, carry, batch, key)

    return gradient


def accumulated(gradient: Gradient, microbatches: int) -> Gradient:
    """The gradient of the mean over a whole batch, from that of each of its microbatches.

    The model's state passes from one to the next; the carry is cut and put together again.
    """

    def of_batch(
        params: Params, model_state: State, carry: Tree, batch: Batch, *, key: PRNGKey
    ) -> tuple[Params, Outcome]:
        def add(total: Tree, part: Tree) -> tuple[Tree, Tree]:
            gradients, metrics, model_state = total
            index, carry, batch = part
            more, outcome = gradient(
                params, model_state, carry, batch, key=jax.random.fold_in(key, index)
            )
            count = outcome.metrics.counts["loss"]
            gradients = jax.tree.map(lambda a, b: a + count.astype(a.dtype) * b, gradients, more)
            return (
                gradients, metrics.merge(outcome.metrics), dict(outcome.model_state)
            ), outcome.carry  # fmt: skip

        carries, batches = split_batch(carry, microbatches), split_batch(batch, microbatches)
        first = jax.tree.map(lambda leaf: leaf[0], (carries, batches))
        shapes = jax.eval_shape(
            lambda: gradient(params, model_state, first[0], first[1], key=key)[1].metrics
        )
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        start = jax.tree.map(jnp.zeros_like, params), zeros, model_state
        parts = jnp.arange(microbatches), carries, batches
        (gradients, metrics, model_state), carries = scan(add, start, parts)
        count = jnp.maximum(metrics.counts["loss"], 1)
        gradients = jax.tree.map(lambda g: g / count.astype(g.dtype), gradients)
        carry = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), carries)
        return gradients, Outcome(metrics, model_state, carry)

    return of_batch


def example_keys(key: PRNGKey, batch: Batch) -> Array:
    """One random key for each example of a batch, by its index in the dataset: `[batch]`.

    What is drawn for an example with its key does not depend on the batch that it is in.
    """
    return jax.vmap(lambda index: jax.random.fold_in(key, index))(batch["index"])


def _check_carry_fits(carry: Tree, size: int) -> None:
    for leaf in jax.tree.leaves(carry):
        if leaf.shape[:1] != (size,):
            raise UsageError(
                f"the carry has shape {leaf.shape} and the training batch {size} examples, "
                f"expected as many first: give from_objective zeros for a batch of {size} as carry="
            )


def _check_unchanged(what: str, before: Tree, after: Tree) -> None:
    for difference in unlike(layout(before), layout(after)):
        raise UsageError(
            f"the objective's Outcome has another {what} than it was given: {difference}; return "
            "what it becomes, in the same shapes and types"
        )
