"""Language modeling: each token from those before it, on windows of a long text."""

import jax
import jax.numpy as jnp
import optax

from dl_jax.errors import UsageError, check_integer
from dl_jax.functional import correct, cross_entropy
from dl_jax.learners.learner import Learner
from dl_jax.learners.metrics import Metrics
from dl_jax.learners.objective import Outcome, from_objective
from dl_jax.models import Model
from dl_jax.types import Batch, Params, PRNGKey, State, Tree


def language_model(
    model: Model,
    optimizer: optax.GradientTransformation,
    *,
    carry_on: int = 0,
    microbatches: int = 1,
) -> Learner:
    """The learner that minimizes the mean cross-entropy of the next token, in nats.

    A batch has `tokens`, integers `[batch, window + 1]`: the inputs are all but the last, the
    targets all but the first. With `carry_on`, a recurrent network begins each window with the
    hidden state that it had at the end of the one before, so that it remembers more than a window,
    while the gradient stays within it: truncated backpropagation through time. The hidden state is
    zero where a batch says `reset`, bool `[batch]`, as a contiguous order does at the beginning of
    each epoch, and where a text begins within a window, `begins`, bool `[batch, window + 1]`.
    Evaluation begins each window with zero.

    Args:
        model: maps tokens `[batch, time]` to logits `[batch, time, vocabulary]`; with `carry_on`,
            also a dict of `tokens`, `carry` and `resets`, as `rnn_lm` does.
        optimizer: turns gradients into updates.
        carry_on: the training batch's size, where the hidden state goes on; 0 is not.
        microbatches: gradient accumulation, as for `from_objective`.

    Raises:
        UsageError: `carry_on` or `microbatches` is out of range, or the model has no stepper to
            begin with; and, when the learner is traced, a batch has no tokens, or, with
            `carry_on`, no `reset`.

    Source: Williams and Peng (1990), "An efficient gradient-based algorithm for on-line training of
    recurrent network trajectories"; Mikolov et al. (2010), "Recurrent neural network based language
    model".
    """
    check_integer("carry_on", carry_on, low=0)
    zeros: Tree = ()
    if carry_on:
        if model.stepper is None:
            raise UsageError("carry_on needs a model with a stepper, such as rnn_lm")
        start = model.stepper.start
        shapes = jax.eval_shape(lambda: start(model.init(jax.random.key(0))[0], carry_on, 0))
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

    def objective(
        params: Params, model_state: State, carry: Tree, batch: Batch, *, train: bool, key: PRNGKey
    ) -> Outcome:
        if "tokens" not in batch:
            raise UsageError(
                f"the batch has {', '.join(batch)}, expected tokens, as those of Windows"
            )
        if carry_on and train and "reset" not in batch:
            raise UsageError(
                "the batch does not say where texts begin anew, and the hidden state goes on: "
                "expected a contiguous order, as that of a Corpus, or carry_on=0"
            )
        inputs, targets = batch["tokens"][:, :-1], batch["tokens"][:, 1:]
        given = {"tokens": inputs, "carry": carry, "resets": _resets(batch)} if carry_on else inputs
        output, model_state = model.apply(
            params, model_state, given, train=train, key=key if train else None
        )
        logits, carry = output if carry_on else (output, carry)
        measured = {"loss": cross_entropy(logits, targets), "accuracy": correct(logits, targets)}
        return Outcome(Metrics.of(measured, batch.get("mask")), model_state, carry)

    return from_objective(model.init, objective, optimizer, microbatches=microbatches, carry=zeros)


def _resets(batch: Batch) -> jax.Array | None:
    """Where the hidden state is zero before a step, bool `[batch, window]`; None where nowhere."""
    resets = None
    if "begins" in batch:
        resets = batch["begins"][:, :-1] != 0
    if "reset" in batch:
        first = jnp.arange(batch["tokens"].shape[1] - 1)[None] == 0
        anew = first & batch["reset"][:, None]
        resets = anew if resets is None else resets | anew
    return resets
