"""Masked language modeling: tokens that were hidden, from all that is around them."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax

from dl_jax.errors import UsageError, check_integer, check_range
from dl_jax.functional import correct, cross_entropy
from dl_jax.learners.learner import Learner
from dl_jax.learners.metrics import Metrics
from dl_jax.learners.objective import Outcome, example_keys, from_objective
from dl_jax.models import Model
from dl_jax.types import Array, Batch, Params, PRNGKey, State, Tree

HIDDEN, REPLACED = 0.8, 0.1
"""Of the chosen tokens, the share that becomes the mask, and that becomes another token; the rest
stays as it is."""


def masked_language_model(
    model: Model,
    optimizer: optax.GradientTransformation,
    mask_token: int,
    *,
    rate: float = 0.15,
    spared: Sequence[int] = (),
    microbatches: int = 1,
) -> Learner:
    """The learner that minimizes the mean cross-entropy of the tokens that `hide_tokens` chooses.

    The accuracy is that of the tokens that the mask hides: of the others, a network sees something.

    A batch has `tokens`, integers `[batch, time]`, 0 being padding. What is chosen of an example in
    training is drawn anew at each step, in evaluation once.

    Args:
        model: maps tokens `[batch, time]` to logits `[batch, time, vocabulary]`.
        optimizer: turns gradients into updates.
        mask_token: the token that hides others: the last one of the network's vocabulary, behind
            those of the texts.
        rate: probability of choosing a token, in (0, 1).
        spared: tokens that are never chosen, such as the unknown one.
        microbatches: gradient accumulation, as for `from_objective`.

    Raises:
        UsageError: an argument is out of range; and, when the learner is traced, a batch has no
            tokens.

    Source: Devlin et al. (2018), arXiv:1810.04805, section 3.1.
    """
    check_integer("mask_token", mask_token, low=2)
    check_range("rate", rate, low=0, high=1, exclusive_low=True, exclusive_high=True)

    def objective(
        params: Params, model_state: State, carry: Tree, batch: Batch, *, train: bool, key: PRNGKey
    ) -> Outcome:
        if "tokens" not in batch:
            raise UsageError(f"the batch has {', '.join(batch)}, expected tokens")
        tokens = jnp.asarray(batch["tokens"])
        hide_key, model_key = jax.random.split(key)
        keys = example_keys(hide_key, batch)
        shown, chosen = hide_tokens(tokens, keys, mask_token, rate=rate, spared=spared)
        logits, model_state = model.apply(
            params, model_state, shown, train=train, key=model_key if train else None
        )
        losses, hits = cross_entropy(logits, tokens), correct(logits, tokens)
        metrics = Metrics.of({"loss": losses}, batch.get("mask"), chosen).beside(
            Metrics.of({"accuracy": hits}, batch.get("mask"), shown == mask_token)
        )
        return Outcome(metrics, model_state, carry)

    return from_objective(model.init, objective, optimizer, microbatches=microbatches)


def hide_tokens(
    tokens: Array, keys: Array, mask_token: int, *, rate: float = 0.15, spared: Sequence[int] = ()
) -> tuple[jax.Array, jax.Array]:
    """The tokens as a network is shown them, and which of them it is to say, bool.

    Of the tokens that are chosen, 80 % become the mask, 10 % another token, and 10 % stay, so that
    a network has to know every token. Padding is never chosen.

    Args:
        tokens: `[batch, time]`, from 1 to `mask_token - 1`, with padding 0.
        keys: one for each example, `[batch]`.
        mask_token: that hides.
        rate: probability of choosing a token.
        spared: tokens that are never chosen.
    """
    may_be_chosen = ~jnp.isin(jnp.asarray(tokens), jnp.array([0, *spared]))

    def of_one(key: Array, own: Array, may: Array) -> tuple[jax.Array, jax.Array]:
        choose_key, kind_key, other_key = jax.random.split(key, 3)
        chosen = (jax.random.uniform(choose_key, own.shape) < rate) & may
        kind = jax.random.uniform(kind_key, own.shape)
        others = jax.random.randint(other_key, own.shape, 1, mask_token, own.dtype)
        shown = jnp.where(
            kind < HIDDEN, mask_token, jnp.where(kind < HIDDEN + REPLACED, others, own)
        )
        return jnp.where(chosen, shown, own), chosen

    return jax.vmap(of_one)(keys, jnp.asarray(tokens), may_be_chosen)
