"""From one sequence to another: each token of the target, from the source and the tokens before."""

import jax.numpy as jnp
import optax

from dl_jax.errors import UsageError, nearest
from dl_jax.functional import correct, cross_entropy
from dl_jax.learners.learner import Learner
from dl_jax.learners.metrics import Metrics
from dl_jax.learners.objective import Outcome, from_objective
from dl_jax.models import Model
from dl_jax.types import Batch, Params, PRNGKey, State, Tree


def sequence_to_sequence(
    model: Model, optimizer: optax.GradientTransformation, *, microbatches: int = 1
) -> Learner:
    """The learner that minimizes the mean cross-entropy of the target's tokens, in nats.

    A batch has `source`, integers `[batch, source]`, and `target`, `[batch, time + 1]`, 0 being
    padding: the network reads all of a target but the last token, and is to say all but the first,
    of which padding does not count. `accuracy` is the share of tokens that are right, given those
    before them, and `exact` that of targets of which all are.

    Args:
        model: maps a dict of `source` and `target` to logits `[batch, time, vocabulary]`, as
            `transformer_seq2seq` does.
        optimizer: turns gradients into updates.
        microbatches: gradient accumulation, as for `from_objective`.

    Raises:
        UsageError: `microbatches` is out of range; and, when the learner is traced, a batch has no
            source or no target.

    Source: Sutskever, Vinyals and Le (2014), arXiv:1409.3215.
    """

    def objective(
        params: Params, model_state: State, carry: Tree, batch: Batch, *, train: bool, key: PRNGKey
    ) -> Outcome:
        for name in ("source", "target"):
            if name not in batch:
                raise UsageError(
                    f"the batch has {', '.join(batch)}, expected a source and a target"
                    f"{nearest(name, batch)}"
                )
        inputs = {"source": batch["source"], "target": batch["target"][:, :-1]}
        targets = jnp.asarray(batch["target"])[:, 1:]
        logits, model_state = model.apply(
            params, model_state, inputs, train=train, key=key if train else None
        )
        right = correct(logits, targets)
        per_token = {"loss": cross_entropy(logits, targets), "accuracy": right}
        exact = {"exact": ((right > 0) | (targets == 0)).all(-1).astype(right.dtype)}
        tokens = Metrics.of(per_token, batch.get("mask"), targets != 0)
        texts = Metrics.of(exact, batch.get("mask"))
        metrics = Metrics({**tokens.sums, **texts.sums}, {**tokens.counts, **texts.counts})
        return Outcome(metrics, model_state, carry)

    return from_objective(model.init, objective, optimizer, microbatches=microbatches)
