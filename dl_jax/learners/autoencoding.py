"""Learning to give back what was given: whole, restored from a part, or drawn again."""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from dl_jax.concrete import check_concrete
from dl_jax.errors import UsageError
from dl_jax.functional import binary_cross_entropy
from dl_jax.learners.learner import Learner
from dl_jax.learners.metrics import Metrics
from dl_jax.learners.objective import Outcome, example_keys, from_objective
from dl_jax.models import Model, split
from dl_jax.types import Batch, Params, PRNGKey, Scalar, State, Tree

Corrupt: TypeAlias = Callable[..., Array | tuple[Array, Array]]
"""`corrupt(examples, key=key) -> corrupted`, or with it which elements are to be restored."""


def reconstructing(
    model: Model,
    optimizer: optax.GradientTransformation,
    *,
    inputs: str = "image",
    prepare: Callable[[Array], Array] = jnp.asarray,
    corrupt: Corrupt | None = None,
    microbatches: int = 1,
) -> Learner:
    """The learner that minimizes the squared error of each element, given back.

    With `corrupt`, the network sees corrupted examples and is to give the whole ones: a denoising
    autoencoder; where `corrupt` says which elements are hidden, only these count: a masked one.
    What is destroyed is drawn anew at each step, in evaluation once for each example.

    Args:
        model: examples to examples of the same shape.
        optimizer: turns gradients into updates.
        inputs: name of the examples in a batch.
        prepare: examples as the network is to give them, floats, such as `standardize` of images.
        corrupt: such as `partial(gaussian_noise, std=0.5)` or `partial(hide_patches, size=4)`.
        microbatches: gradient accumulation, as for `from_objective`.

    Raises:
        UsageError: when the learner is traced, a batch has no such array, or the model does not
            give its shape.

    Source: Vincent et al. (2010), "Stacked denoising autoencoders"; He et al. (2021),
    arXiv:2111.06377, for the loss on hidden parts alone.
    """

    def objective(
        params: Params, model_state: State, carry: Tree, batch: Batch, *, train: bool, key: PRNGKey
    ) -> Outcome:
        whole = prepare(_named(batch, inputs))
        corrupt_key, model_key = jax.random.split(key)
        given, counted = whole, None
        if corrupt is not None:
            given, counted = _corrupted(corrupt, whole, example_keys(corrupt_key, batch))
        restored, model_state = model.apply(
            params, model_state, given, train=train, key=model_key if train else None
        )
        _check_same(restored, whole)
        metrics = Metrics.of({"loss": (restored - whole) ** 2}, batch.get("mask"), counted)
        return Outcome(metrics, model_state, carry)

    return from_objective(model.init, objective, optimizer, microbatches=microbatches)


def variational(
    model: Model,
    optimizer: optax.GradientTransformation,
    *,
    inputs: str = "image",
    prepare: Callable[[Array], Array] = jnp.asarray,
    std: Scalar | None = None,
    weight: Scalar = 1.0,
    microbatches: int = 1,
) -> Learner:
    """The learner that maximizes the evidence lower bound of a variational autoencoder.

    The loss is its negative, in nats for each example: `reconstruction`, the negative
    log-probability of the example under independent distributions decoded from one draw (Bernoulli
    by their logits, or normal by their means), plus `divergence`, that of the encoder's normal
    distribution from the standard one, by Kullback and Leibler. In evaluation the draw of an
    example is always the same.

    Args:
        model: as `variational_autoencoder` makes one: its encoder gives means and logarithms of
            variances, its decoder logits or means.
        optimizer: turns gradients into updates.
        inputs: name of the examples in a batch.
        prepare: examples as probabilities in [0, 1]; with `std`, any numbers.
        std: standard deviation of the normal distributions; None is Bernoulli.
        weight: of the divergence; above 1, latent dimensions are more independent (Higgins et al.,
            2017, "beta-VAE").
        microbatches: gradient accumulation, as for `from_objective`.

    Raises:
        UsageError: the model has no layer `mean`, or `std` is not positive; and as for
            `reconstructing`.

    Source: Kingma and Welling (2013), arXiv:1312.6114, equation 10 and appendices B and C.
    """
    if "mean" not in model.layers:
        raise UsageError(
            "the model has no layer 'mean' between its encoder and its decoder: expected one as "
            "variational_autoencoder makes"
        )
    if std is not None:
        check_concrete("std", std, low=0, exclusive_low=True)
    encoder, (_, decoder) = split(model, "encoder")[0], split(model, "mean")

    def objective(
        params: Params, model_state: State, carry: Tree, batch: Batch, *, train: bool, key: PRNGKey
    ) -> Outcome:
        whole = prepare(_named(batch, inputs))
        draw_key, *keys = jax.random.split(key, 3)
        encode_key, decode_key = keys if train else (None, None)
        encoded, encoder_state = encoder.apply(
            params, model_state, whole, train=train, key=encode_key
        )
        mean, log_variance = jnp.split(encoded, 2, axis=-1)
        noise = jax.vmap(lambda own: jax.random.normal(own, mean.shape[1:]))(
            example_keys(draw_key, batch)
        )
        drawn = mean + jnp.exp(log_variance / 2) * noise
        decoded, decoder_state = decoder.apply(
            params, model_state, drawn, train=train, key=decode_key
        )
        _check_same(decoded, whole)
        reconstruction = _surprise(whole, decoded, std).reshape(len(whole), -1).sum(-1)
        divergence = 0.5 * (jnp.exp(log_variance) + mean**2 - 1 - log_variance).sum(-1)
        values = {
            "loss": reconstruction + weight * divergence,
            "reconstruction": reconstruction,
            "divergence": divergence,
        }
        metrics = Metrics.of(values, batch.get("mask"))
        return Outcome(metrics, {**encoder_state, **decoder_state}, carry)

    return from_objective(model.init, objective, optimizer, microbatches=microbatches)


def _surprise(x: Array, decoded: Array, std: Scalar | None) -> Array:
    """The negative log-probability of each element."""
    if std is None:
        return binary_cross_entropy(decoded, x)
    return 0.5 * ((x - decoded) / std) ** 2 + jnp.log(std) + 0.5 * jnp.log(2 * jnp.pi)


def _named(batch: Batch, name: str) -> Array:
    if name not in batch:
        raise UsageError(f"a batch has no {name!r}, its arrays are {', '.join(sorted(batch))}")
    return batch[name]


def _corrupted(corrupt: Corrupt, whole: Array, keys: Array) -> tuple[Array, Array | None]:
    """Each example by its own key, and which elements count, if not all."""

    def of_one(example: Array, key: PRNGKey) -> tuple[Array, Array | None]:
        found = corrupt(example[None], key=key)
        given, counted = found if isinstance(found, tuple) else (found, None)
        return given[0], None if counted is None else counted[0]

    return jax.vmap(of_one)(whole, keys)


def _check_same(restored: Array, whole: Array) -> None:
    if restored.shape != whole.shape:
        raise UsageError(
            f"the model gave {restored.shape} for examples of shape {whole.shape}, expected the "
            "same shape back"
        )
