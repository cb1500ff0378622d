"""Giving back what was given: losses by hand, what counts, and that it is learned."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats

from dl_jax.errors import UsageError
from dl_jax.functional import gaussian_noise, hide_patches, masking_noise
from dl_jax.learners import reconstructing, variational
from dl_jax.models import autoencoder, mlp, variational_autoencoder

KEY = jax.random.key(2)
IMAGES = np.random.default_rng(0).uniform(size=(8, 4, 4, 1)).astype(np.float32)
BATCH = {"image": IMAGES, "index": np.arange(8)}
PLAIN = autoencoder((4, 4, 1), (6,), 3)


def begun(learner):
    return jax.jit(learner.init)(KEY)


def measured(learner, batch=BATCH):
    return jax.jit(learner.eval_step)(begun(learner), batch)


def test_every_element_counts():
    learner = reconstructing(PLAIN, optax.sgd(0.1))
    given = PLAIN.apply(begun(learner).params, {}, IMAGES, train=False)[0]
    found = measured(learner)
    np.testing.assert_allclose(found.means()["loss"], ((given - IMAGES) ** 2).mean(), rtol=1e-5)
    assert found.counts["loss"] == IMAGES.size


def test_what_was_destroyed_is_to_be_restored():
    """The network sees noise, and the loss whole images; in evaluation the noise stays the same."""
    learner = reconstructing(PLAIN, optax.sgd(0.1), corrupt=partial(masking_noise, rate=1.0))
    nothing = PLAIN.apply(begun(learner).params, {}, 0 * IMAGES, train=False)[0]
    expected = ((nothing - IMAGES) ** 2).mean()
    np.testing.assert_allclose(measured(learner).means()["loss"], expected, rtol=1e-5)
    noisy = reconstructing(PLAIN, optax.sgd(0.0), corrupt=gaussian_noise)
    halves = [{name: array[i : i + 4] for name, array in BATCH.items()} for i in (0, 4)]
    whole, (a, b) = measured(noisy), [measured(noisy, half) for half in halves]
    np.testing.assert_allclose(a.merge(b).sums["loss"], whole.sums["loss"], rtol=1e-5)
    state, step = begun(noisy), jax.jit(noisy.train_step)
    state, first = step(state, BATCH)
    _, second = step(state, BATCH)
    assert first.sums["loss"] != second.sums["loss"]


def test_of_hidden_patches_these_alone_count():
    learner = reconstructing(PLAIN, optax.sgd(0.1), corrupt=partial(hide_patches, size=2))
    assert measured(learner).counts["loss"] == IMAGES.size / 2
    masked = measured(learner, {**BATCH, "mask": np.arange(8) < 3})
    assert masked.counts["loss"] == 3 * 16 / 2


def test_the_bound_is_that_of_its_formula():
    """Its two terms by distributions of scipy, for the draw that evaluation always makes."""
    model = variational_autoencoder((4, 4, 1), (6,), 2)
    learner = variational(model, optax.sgd(0.1), weight=3.0)
    state, found = begun(learner), measured(learner).means()
    encoded = model.layers["encoder"].apply(state.params["encoder"], {}, IMAGES, train=False)[0]
    mean, log_variance = np.split(np.asarray(encoded, float), 2, axis=-1)
    draws = np.random.default_rng(0).normal(mean, np.exp(log_variance / 2), (200_000, 8, 2))
    posterior = scipy.stats.norm.logpdf(draws, mean, np.exp(log_variance / 2))
    expected = (posterior - scipy.stats.norm.logpdf(draws)).sum(-1).mean()
    np.testing.assert_allclose(found["divergence"], expected, rtol=0.05)
    total = found["reconstruction"] + 3 * found["divergence"]
    np.testing.assert_allclose(found["loss"], total, rtol=1e-5)
    # A distribution that is as narrow as can be is its mean.
    params = jax.tree.map(jnp.copy, state.params)
    params["encoder"]["latent"]["map"]["bias"] = jnp.array([0.0, 0, -60, -60])
    params["encoder"]["latent"]["map"]["kernel"] *= jnp.array([[1.0, 1, 0, 0]])
    logits = np.asarray(model.apply(params, {}, IMAGES, train=False)[0], float)
    sure = -scipy.stats.bernoulli.logpmf(1, 1 / (1 + np.exp(-logits))) * IMAGES
    sure -= scipy.stats.bernoulli.logpmf(0, 1 / (1 + np.exp(-logits))) * (1 - IMAGES)
    found = jax.jit(learner.eval_step)(state.replace(params=params), BATCH).means()
    np.testing.assert_allclose(found["reconstruction"], sure.sum((1, 2, 3)).mean(), rtol=1e-4)


def test_numbers_are_as_probable_as_scipy_says():
    model = variational_autoencoder((4, 4, 1), (6,), 2)
    learner = variational(model, optax.sgd(0.1), std=0.3)
    state = begun(learner)
    params = jax.tree.map(jnp.copy, state.params)
    params["encoder"]["latent"]["map"]["bias"] = jnp.array([0.0, 0, -60, -60])
    params["encoder"]["latent"]["map"]["kernel"] *= jnp.array([[1.0, 1, 0, 0]])
    means = np.asarray(model.apply(params, {}, IMAGES, train=False)[0], float)
    expected = -scipy.stats.norm.logpdf(IMAGES, means, 0.3).sum((1, 2, 3)).mean()
    found = jax.jit(learner.eval_step)(state.replace(params=params), BATCH).means()
    np.testing.assert_allclose(found["reconstruction"], expected, rtol=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: reconstructing(autoencoder((4, 4, 1), (32,), 8), optax.adam(1e-2)),
        lambda: reconstructing(
            autoencoder((4, 4, 1), (16,), 8, convolutional=True), optax.adam(1e-2)
        ),
        lambda: variational(variational_autoencoder((4, 4, 1), (32,), 4), optax.adam(1e-2)),
    ],
    ids=["dense", "convolutional", "variational"],
)
def test_it_is_learned(make):
    batch = {**BATCH, "image": np.float32(IMAGES > 0.5)}
    learner = make()
    state, step = begun(learner), jax.jit(learner.train_step)
    _, first = step(state, batch)
    for _ in range(300):
        state, metrics = step(state, batch)
    assert metrics.means()["loss"] < 0.5 * first.means()["loss"]


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (lambda: variational(PLAIN, optax.sgd(0.1)), "the model has no layer 'mean'"),
        (
            lambda: variational(variational_autoencoder((2,), (), 1), optax.sgd(0.1), std=0.0),
            "std is 0.0",
        ),
        (
            lambda: measured(reconstructing(mlp((4, 4, 1), (), 3), optax.sgd(0.1))),
            "the model gave (8, 3) for examples of shape (8, 4, 4, 1)",
        ),
        (
            lambda: measured(reconstructing(PLAIN, optax.sgd(0.1), inputs="picture")),
            "a batch has no 'picture', its arrays are image, index",
        ),
    ],
)
def test_what_cannot_be_given_back_is_said(run, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        run()
