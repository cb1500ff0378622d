"""Generators, critics and autoencoders: their sizes, their levels, spectral norms, refusals."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.errors import UsageError
from dl_jax.models import (
    autoencoder,
    features,
    mlp_critic,
    mlp_generator,
    variational_autoencoder,
    wgan_critic,
    wgan_generator,
    with_spectral_norm,
)
from dl_jax.paths import path_names

KEY = jax.random.key(0)


def shapes(model):
    params, _ = jax.eval_shape(model.init, KEY)
    return {
        name: leaf.shape
        for name, leaf in zip(path_names(params), jax.tree.leaves(params), strict=True)
        if name.endswith("kernel")
    }


@pytest.mark.parametrize(("side", "small", "doublings"), [(28, 7, 2), (32, 4, 3), (64, 4, 4)])
def test_images_are_doubled_from_the_smallest_and_halved_to_it(side, small, doublings):
    made = shapes(wgan_generator((side, side, 3), 10, width=8))
    inner = 8 * 2 ** (doublings - 1)
    assert made["project/kernel"] == (10, small**2 * inner)
    assert made["head/kernel"] == (4, 4, 8, 3)
    assert len(made) == doublings + 1
    judged = shapes(wgan_critic((side, side, 3), width=8))
    assert judged["conv1/kernel"] == (4, 4, 3, 8)
    assert judged["head/kernel"] == (small**2 * inner, 1)


@pytest.mark.parametrize("convolutional", [False, True])
def test_levels_mirror_each_other(convolutional):
    """What a level of the decoder gives has the shape that its counterpart was given."""
    model = autoencoder((8, 12, 2), (6, 5), 3, convolutional=convolutional)
    encoder = ["encoder/inputs", "encoder/level1", "encoder/level2", "encoder/latent"]
    decoder = ["decoder/level1", "decoder/level2", "decoder/latent"]
    apply = partial(features(model, [*encoder, *decoder]).apply, train=False)
    images = jax.ShapeDtypeStruct((4, 8, 12, 2), jnp.float32)
    found, _ = jax.eval_shape(apply, *jax.eval_shape(model.init, KEY), images)
    for given, back in zip(encoder, decoder, strict=False):
        assert found[given].shape == found[back].shape
    assert found["encoder/latent"].shape == (4, 3)
    inner = (4, 2, 3, 5) if convolutional else (4, 5)
    assert found["encoder/level2"].shape == inner


def test_a_variational_autoencoder_decodes_the_mean():
    model = variational_autoencoder((6,), (5,), 3)
    params, state = model.init(KEY)
    x = jax.random.normal(KEY, (4, 6))
    found, _ = features(model, ["encoder", "mean"]).apply(params, state, x, train=True)
    np.testing.assert_array_equal(found["mean"], found["encoder"][:, :3])


def test_a_linear_autoencoder_is_two_matrices():
    model = autoencoder((6,), (), 3)
    params, state = model.init(KEY)
    x = jax.random.normal(KEY, (4, 6))
    y, _ = model.apply(params, state, x, train=False)
    maps = [params[part]["latent"]["map"]["kernel"] for part in ("encoder", "decoder")]
    np.testing.assert_allclose(y, x @ maps[0] @ maps[1], rtol=1e-4, atol=1e-5)


def test_kernels_are_divided_as_torch_divides_them():
    """Step by step, from the same vectors: outputs, gradients and vectors."""
    torch = pytest.importorskip("torch")
    from tests.models.generative_in_torch import down

    model = with_spectral_norm(wgan_critic((8, 8, 2), width=3))
    params, state = model.init(KEY)
    assert path_names(state) == ["spectral/conv1/kernel", "spectral/head/kernel"]
    images = jax.random.normal(KEY, (4, 8, 8, 2))
    theirs = jax.tree.map(lambda leaf: torch.tensor(np.array(leaf), requires_grad=True), params)
    vectors = jax.tree.map(lambda leaf: torch.tensor(np.array(leaf)), state["spectral"])

    def divided(name):
        kernel = theirs[name]["kernel"]
        matrix = kernel.detach().reshape(-1, kernel.shape[-1])
        left = torch.nn.functional.normalize(matrix @ vectors[name]["kernel"], dim=0)
        right = torch.nn.functional.normalize(matrix.T @ left, dim=0)
        vectors[name]["kernel"] = right
        return kernel / (left @ kernel.reshape(matrix.shape) @ right)

    @jax.jit
    def step(params, state):
        def total(params):
            scores, after = model.apply(params, state, images, train=True)
            return scores.sum(), (scores, after)

        return jax.grad(total, has_aux=True)(params)

    for _ in range(3):
        gradients, (scores, state) = step(params, state)
        x = down(torch.tensor(np.array(images)), divided("conv1"), theirs["conv1"]["bias"])
        x = torch.nn.functional.leaky_relu(x, 0.2).flatten(1)
        found = (x @ divided("head") + theirs["head"]["bias"])[:, 0]
        for leaf in jax.tree.leaves(theirs):
            leaf.grad = None
        found.sum().backward()
        np.testing.assert_allclose(scores, found.detach(), rtol=1e-4, atol=1e-5)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
                     (gradients, state["spectral"]),
                     (jax.tree.map(lambda leaf: leaf.grad, theirs), vectors))  # fmt: skip
    _, same = model.apply(params, state, images, train=False)
    assert same is state or jax.tree.all(jax.tree.map(np.array_equal, same, state))


def test_what_is_normalized_stretches_nothing():
    """After some steps a critic's slope is at most one, however large its kernels."""
    model = with_spectral_norm(mlp_critic(2, (16, 16)))
    params, state = model.init(KEY)
    params = jax.tree.map(lambda leaf: 50 * leaf, params)
    points = jax.random.normal(KEY, (64, 2))
    apply = jax.jit(partial(model.apply, train=True))
    for _ in range(50):
        _, state = apply(params, state, points)
    slopes = jax.vmap(jax.grad(lambda x: model.apply(params, state, x[None], train=False)[0][0]))
    assert jnp.linalg.norm(slopes(points), axis=-1).max() < 1.01


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: wgan_generator((30, 30, 1)), "images of 30x30 pixels cannot be halved to 4 to 7"),
        (lambda: wgan_critic((28, 32, 1)), "images of 28x32 pixels cannot be halved to 4 to 7"),
        (lambda: wgan_critic((28, 28)), "image_shape is (28, 28), expected (height, width, chan"),
        (lambda: wgan_generator((8, 8, 1), 0), "latent_dim=0"),
        (lambda: wgan_generator((8, 8, 1), hidden_dim=-1), "hidden_dim is -1"),
        (lambda: wgan_critic((8, 8, 1), hidden_dim=-1), "hidden_dim is -1"),
        (lambda: wgan_critic((8, 8, 1), num_classes=-1), "num_classes=-1"),
        (lambda: mlp_generator(2, 2, (4, 0)), "widths=(4, 0)"),
        (lambda: mlp_critic(0), "features=0"),
        (lambda: autoencoder((6, 6, 1), (4, 4), 2, convolutional=True), "cannot halve examples"),
        (lambda: autoencoder((6,), (4,), 2, convolutional=True), "cannot halve examples of shape"),
        (lambda: variational_autoencoder((6,), (4,), 0), "variational_autoencoder sizes are"),
        (
            lambda: mlp_critic(2, (3,), num_classes=3).apply(
                mlp_critic(2, (3,), num_classes=3).init(KEY)[0], {}, jnp.ones((4, 2)), train=False
            ),
            "mlp_critic is told classes, expected a pair: its inputs, and labels",
        ),
        (
            lambda: mlp_critic(2, (3,), num_classes=3).apply(
                mlp_critic(2, (3,), num_classes=3).init(KEY)[0], {},
                (jnp.ones((4, 2)), jnp.ones(3, int)), train=False,
            ),
            "inputs of shape (4, 2) and labels of shape (3,), expected a label for each",
        ),
        (
            lambda: with_spectral_norm(with_spectral_norm(mlp_critic(2, (3,)))).init(KEY),
            "the model is spectrally normalized already",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_said(make, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        make()
