"""Adversarial learning: a generator, and a discriminator that tells its examples from real ones."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial, reduce
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from dl_jax.concrete import check_concrete, is_concrete
from dl_jax.errors import UsageError, check_integer
from dl_jax.functional import gradient_penalty
from dl_jax.learners.adversarial_objectives import AdversarialObjective
from dl_jax.learners.batches import batch_size, blanked, check_batch
from dl_jax.learners.learner import Learner, TrainState, Weights, initial_weights
from dl_jax.learners.metrics import Metrics
from dl_jax.learners.objective import example_keys
from dl_jax.models import Model
from dl_jax.types import Batch, Params, PRNGKey, Scalar, State

NETWORKS = GENERATOR, DISCRIMINATOR = "generator", "discriminator"
"""The first part of the path of each parameter and of each state."""
Judged: TypeAlias = tuple[jax.Array, tuple[Metrics, State]]
"""A loss, with the metrics that say more, and the state of the network that descends on it."""
Mode: TypeAlias = dict[str, Any]
"""How a network is applied: `train` and `key`."""


def adversarial(
    generator: Model,
    discriminator: Model,
    objective: AdversarialObjective,
    optimizers: tuple[optax.GradientTransformation, optax.GradientTransformation],
    critic_steps: int = 1,
    *,
    latent_dim: int,
    inputs: str = "image",
    labels: str | None = None,
    prepare: Callable[[Array], Array] = jnp.asarray,
    penalty: Scalar = 0.0,
    penalty_norm: Scalar = 1.0,
    one_sided: bool = False,
    clip: Scalar | None = None,
) -> Learner:
    """The learner of a game: some steps of the discriminator, then one of the generator.

    All of it is one `train_step` on one `TrainState`: parameters, model state and optimizer state
    are dicts of the two networks' own, and `weights` are those of the generator. A training batch
    is divided among the discriminator's steps. Noise is normal, `[batch, latent_dim]`.

    Metrics are `discriminator_loss` (without the penalty), `generator_loss`, `penalty` (before its
    weight) where there is one, `distance` (the mean score of real examples minus that of fake ones:
    for a critic of slope one, the Wasserstein distance), and in training the norms of both
    gradients. There is no `loss`: no number of the game says which generator is better. Choose by
    the quality of samples.

    Args:
        generator: noise to examples; with `labels`, the pair of noise and labels.
        discriminator: examples, or the pair with their labels, to scores `[batch]`. It is given
            real and fake examples in one batch, and must judge each by itself; that it has batch
            normalization is not found out.
        objective: such as `OBJECTIVES["wasserstein"]`.
        optimizers: the generator's, and the discriminator's; they see parameters by their whole
            paths, `generator/...` and `discriminator/...`.
        critic_steps: steps of the discriminator for each of the generator.
        latent_dim: numbers that an example is made of.
        inputs: name of the real examples in a batch.
        labels: name of their classes, where the networks are told; None tells nothing.
        prepare: real examples as the discriminator takes them, images in [-1, 1] by
            `standardize` with a mean and a std of 0.5.
        penalty: weight of the gradient penalty; a concrete 0 leaves it out.
        penalty_norm: that the penalty draws gradients to.
        one_sided: penalize larger norms alone.
        clip: largest absolute value of a parameter of the discriminator, after each of its steps.

    Raises:
        UsageError: a number is out of range; and, when the learner is traced, a batch lacks what is
            named, critic steps do not divide it, the generator's examples do not have the shape of
            the real ones, or scores are not one number each.

    Source: Goodfellow et al. (2014), arXiv:1406.2661, algorithm 1; Gulrajani et al. (2017),
    arXiv:1704.00028, algorithm 1, for the penalty; Arjovsky et al. (2017), arXiv:1701.07875,
    algorithm 1, for clipping.
    """
    check_integer("critic_steps", critic_steps, low=1)
    check_integer("latent_dim", latent_dim, low=1)
    check_concrete("penalty", penalty, low=0)
    if clip is not None:
        check_concrete("clip", clip, low=0, exclusive_low=True)
    rules: dict[str, Any] = dict(zip(NETWORKS, optimizers, strict=True))
    bounded = (lambda leaf: leaf) if clip is None else partial(jnp.clip, min=-clip, max=clip)
    penalized = not is_concrete(penalty) or float(penalty) > 0

    def both(key: PRNGKey) -> Weights:
        """Parameters and state of both networks."""
        params, model_state = {}, {}
        models = zip(NETWORKS, (generator, discriminator), jax.random.split(key), strict=True)
        for name, model, own in models:
            params[name], model_state[name] = model.init(own)
        return params, model_state

    def init(key: PRNGKey, start: Weights | None = None) -> TrainState:
        params_key, run_key = jax.random.split(key)
        params, model_state = initial_weights(both, params_key, start)
        opt_state = {name: rules[name].init({name: params[name]}) for name in NETWORKS}
        return TrainState(jnp.zeros((), jnp.int32), params, model_state, opt_state, run_key)

    def told(batch: Batch) -> tuple[Array, ...]:
        """The labels of a batch, where the networks are told any."""
        return () if labels is None else (batch[labels],)

    def generate(
        params: Params, state: State, batch: Batch, noise: Array, mode: Mode
    ) -> tuple[jax.Array, State]:
        """As many examples as the noise is long."""
        return generator.apply(params, state, with_labels(noise, told(batch)), **mode)

    def judge(
        params: Params, state: State, examples: Array, labels: tuple[Array, ...], mode: Mode
    ) -> tuple[jax.Array, State]:
        """Scores of examples."""
        scores, state = discriminator.apply(params, state, with_labels(examples, labels), **mode)
        if scores.shape != examples.shape[:1]:
            raise UsageError(
                f"the discriminator gave scores of shape {scores.shape} for "
                f"{examples.shape[0]} examples, expected one number each, ({examples.shape[0]},)"
            )
        return scores, state

    def discriminate(
        params: Params, state: State, batch: Batch, fake: Array, mode: Mode, share: Array
    ) -> Judged:
        """The discriminator's loss of a batch, its metrics, and its state afterwards."""
        real = prepare(batch[inputs])
        if real.shape != fake.shape:
            raise UsageError(
                f"the generator made examples of shape {fake.shape} for real ones of shape "
                f"{real.shape}, expected the same: give it the data's shape"
            )
        examples = jnp.concatenate([real, fake.astype(real.dtype)])
        twice = tuple(jnp.concatenate([one, one]) for one in told(batch))
        scores, after = judge(params, state, examples, twice, mode)
        of_real, of_fake = jnp.split(scores, 2)
        values = {
            "discriminator_loss": objective.discriminator(of_real, of_fake),
            "distance": of_real - of_fake,
        }

        def score(examples: jax.Array, *labels: jax.Array) -> jax.Array:
            return judge(params, state, examples, labels, mode)[0]

        if penalized:
            values["penalty"] = gradient_penalty(
                score, real, fake, share, *told(batch), norm=penalty_norm, one_sided=one_sided
            )
        metrics = Metrics.of(values, batch.get("mask"))
        loss = mean(metrics, "discriminator_loss")
        return loss + (penalty * mean(metrics, "penalty") if penalized else 0), (metrics, after)

    def deceive(scores: Array, batch: Batch) -> tuple[jax.Array, Metrics]:
        """The generator's loss by the scores of its examples."""
        metrics = Metrics.of({"generator_loss": objective.generator(scores)}, batch.get("mask"))
        return mean(metrics, "generator_loss"), metrics

    def improve(
        name: str, loss: Callable[[Params], Judged], state: TrainState
    ) -> tuple[TrainState, Metrics]:
        """One step of one network down its loss."""
        gradient, (metrics, model_state) = jax.grad(loss, has_aux=True)(state.params[name])
        own = {name: state.params[name]}
        updates, opt_state = rules[name].update({name: gradient}, state.opt_state[name], own)
        params: Any = optax.apply_updates(own, updates)
        if name == DISCRIMINATOR:
            params = jax.tree.map(bounded, params)
        norm = Metrics({f"{name}_gradient": optax.tree.norm(gradient)},
                       {f"{name}_gradient": jnp.ones((), jnp.int32)})  # fmt: skip
        state = replace(
            state,
            params={**state.params, **params},
            model_state={**state.model_state, name: model_state},
            opt_state={**state.opt_state, name: opt_state},
        )
        return state, metrics.beside(norm)

    def discriminator_step(
        state: TrainState, batch: Batch, key: PRNGKey
    ) -> tuple[TrainState, Metrics]:
        noise_key, made_key, judge_key, share_key = jax.random.split(key, 4)
        noise = jax.random.normal(noise_key, (batch_size(batch), latent_dim))
        share = jax.random.uniform(share_key, (batch_size(batch),))
        fake, _ = generate(state.params[GENERATOR], state.model_state[GENERATOR], batch, noise,
                           training(made_key))  # fmt: skip

        def loss(params: Params) -> Judged:
            before = state.model_state[DISCRIMINATOR]
            return discriminate(params, before, batch, fake, training(judge_key), share)

        return improve(DISCRIMINATOR, loss, state)

    def generator_step(state: TrainState, batch: Batch, key: PRNGKey) -> tuple[TrainState, Metrics]:
        noise_key, made_key, judge_key = jax.random.split(key, 3)
        noise = jax.random.normal(noise_key, (batch_size(batch), latent_dim))

        def loss(params: Params) -> Judged:
            before = state.model_state
            fake, after = generate(params, before[GENERATOR], batch, noise, training(made_key))
            scores, _ = judge(state.params[DISCRIMINATOR], before[DISCRIMINATOR], fake,
                              told(batch), training(judge_key))  # fmt: skip
            value, metrics = deceive(scores, batch)
            return value, (metrics, after)

        return improve(GENERATOR, loss, state)

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        check_batch(batch, inputs, labels or inputs)
        parts = divided(blanked(batch), critic_steps)
        keys = jax.random.split(jax.random.fold_in(state.key, state.step), critic_steps + 1)
        after, found = state, []
        # Not a loop of the program: on CPU, convolutions are many times slower in one.
        for part, key in zip(parts, keys[:-1], strict=True):
            after, metrics = discriminator_step(after, part, key)
            found.append(metrics)
        after, metrics = generator_step(after, parts[-1], keys[-1])
        merged = reduce(Metrics.merge, found).beside(metrics)
        return replace(after, step=state.step + 1), merged

    def eval_step(state: TrainState, batch: Batch) -> Metrics:
        check_batch(batch, inputs, labels or inputs)
        key = jax.random.fold_in(state.key, 0)
        mode: Mode = {"train": False, "key": None}
        keys = jax.vmap(jax.random.split)(example_keys(key, batch))
        noise = jax.vmap(lambda own: jax.random.normal(own, (latent_dim,)))(keys[:, 0])
        share = jax.vmap(jax.random.uniform)(keys[:, 1])
        (g, d), (g_state, d_state) = (
            (tree[GENERATOR], tree[DISCRIMINATOR]) for tree in (state.params, state.model_state)
        )
        fake, _ = generate(g, g_state, batch, noise, mode)
        _, (judged, _) = discriminate(d, d_state, batch, fake, mode, share)
        scores, _ = judge(d, d_state, fake, told(batch), mode)
        return judged.beside(deceive(scores, batch)[1])

    def weights(state: TrainState) -> Weights:
        return state.params[GENERATOR], state.model_state[GENERATOR]

    return Learner(init, train_step, eval_step, weights)


def training(key: PRNGKey) -> Mode:
    """How networks are applied in training."""
    return {"train": True, "key": key}


def with_labels(x: Array, labels: tuple[Array, ...]) -> Any:
    """What a network is given: `x` alone, or with labels."""
    return (x, *labels) if labels else x


def divided(batch: Batch, parts: int) -> list[Batch]:
    """Equal parts of a batch, one after the other.

    Raises:
        UsageError: there are none.
    """
    size = batch_size(batch)
    if size % parts:
        raise UsageError(
            f"a batch of {size} examples cannot be divided among {parts} critic steps: make the "
            "batch size a multiple"
        )
    size //= parts
    return [jax.tree.map(lambda leaf, i=i: leaf[i * size : (i + 1) * size], batch)
            for i in range(parts)]  # fmt: skip


def mean(metrics: Metrics, name: str) -> jax.Array:
    """Of one value, over the examples that count."""
    return metrics.sums[name] / jnp.maximum(metrics.counts[name], 1)
