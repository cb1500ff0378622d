"""Evidence for a class, against what can be computed by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.errors import UsageError
from dl_jax.functional import conv2d, global_avg_pool, relu
from dl_jax.models import (
    chain,
    conv,
    flatten,
    grad_cam,
    linear,
    mean_embedding_classifier,
    occlusion,
    with_preprocessing,
)

IMAGES = jnp.asarray(np.random.default_rng(0).normal(size=(3, 5, 4, 2)), jnp.float32)
CLASSES = jnp.array([1, 0, 1])
HEAD = {"relu1": relu, "pool": global_avg_pool, "head": linear(6, 2)}


def test_before_pooling_it_is_the_classs_weights_times_the_features():
    """There the derivative is the head's kernel over the number of places: a class activation."""
    model = chain({"conv1": conv(2, 6), **HEAD})
    model = with_preprocessing(model, lambda x: 2 * x)
    params, state = model.init(jax.random.key(0))
    found = grad_cam(model, params, state, IMAGES, CLASSES, "relu1")
    features = np.maximum(np.asarray(conv2d(2 * IMAGES, **params["conv1"])), 0)
    weights = np.asarray(params["head"]["kernel"]).T[np.asarray(CLASSES)]  # [batch, features]
    expected = np.einsum("bhwc,bc->bhw", features, weights) / 20
    assert (expected < 0).any()
    np.testing.assert_allclose(found, np.maximum(expected, 0), rtol=1e-4, atol=1e-6)


def test_at_an_earlier_layer_it_is_what_pytorch_finds():
    torch = pytest.importorskip("torch")
    from tests.models.in_torch import conv as torch_conv

    model = chain({"conv1": conv(2, 3), "relu0": jnp.tanh, "conv2": conv(3, 6), **HEAD})
    params, state = model.init(jax.random.key(1))
    found = grad_cam(model, params, state, IMAGES, CLASSES, "relu0")
    theirs = jax.tree.map(lambda leaf: torch.from_numpy(np.array(leaf)), params)
    maps = torch.tanh(torch_conv(torch.from_numpy(np.array(IMAGES)), **theirs["conv1"]))
    maps.requires_grad_()
    pooled = torch.relu(torch_conv(maps, **theirs["conv2"])).mean((1, 2))
    logits = pooled @ theirs["head"]["kernel"] + theirs["head"]["bias"]
    logits[torch.arange(3), torch.from_numpy(np.array(CLASSES)).long()].sum().backward()
    weights = maps.grad.mean((1, 2), keepdim=True)
    expected = torch.relu((weights * maps).sum(-1)).detach().numpy()
    assert expected.max() > 0.01
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)


def test_a_layer_without_places_is_refused():
    model = chain({"flat": flatten, "dense1": linear(40, 6), "head": linear(6, 2)})
    params, state = model.init(jax.random.key(0))
    with pytest.raises(UsageError, match=r"layer 'dense1' has shape \(3, 6\), expected \[batch"):
        grad_cam(model, params, state, IMAGES, CLASSES, "dense1")


def test_a_word_says_by_how_much_the_log_probability_falls_without_it():
    model = mean_embedding_classifier(6, 3, embedding_dim=4)
    params, state = model.init(jax.random.key(0))
    tokens = np.array([3, 5, 3, 1, 0, 0])

    def log_probability(kept):
        vectors = np.asarray(params["embedding"]["embedding"])[kept]
        logits = vectors.mean(0) @ np.asarray(params["head"]["kernel"])
        return logits[2] - np.log(np.exp(logits).sum())

    found = occlusion(model, params, state, tokens, 2)
    text = tokens[:4]
    expected = [log_probability(text) - log_probability(np.delete(text, i)) for i in range(4)]
    np.testing.assert_allclose(found, [*expected, 0, 0], atol=1e-6)
    assert found.min() < 0 < found.max()
