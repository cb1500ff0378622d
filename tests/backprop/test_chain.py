"""Chains of operations: the gradients of whole networks, and training without differentiation."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl_jax import backprop, functional
from dl_jax.backprop import chain, mean_loss
from dl_jax.learners import manual_backprop, over_seeds, supervised
from dl_jax.models import cnn, mlp
from tests.learners.problem import CLASSES, SHAPE, close, make_batch, train

MLP = chain(
    {
        "flatten": backprop.flatten(),
        "dense1": backprop.dense(),
        "relu": backprop.relu(),
        "head": backprop.dense(),
    }
)
CNN = chain(
    {
        "conv1_1": backprop.conv2d(),
        "relu1": backprop.relu(),
        "conv1_2": backprop.conv2d(),
        "relu2": backprop.relu(),
        "pool": backprop.max_pool(2),
        "flatten": backprop.flatten(),
        "head": backprop.dense(),
    }
)
NETWORKS = {
    "mlp": (MLP, mlp(SHAPE, (8,), CLASSES)),
    "cnn": (CNN, cnn(SHAPE, [(4, 4)], CLASSES)),
}
each = pytest.mark.parametrize(("network", "model"), NETWORKS.values(), ids=NETWORKS)


@each
def test_gradients_of_a_network_are_those_of_jax(network, model):
    params, _ = jax.jit(model.init)(jax.random.key(0))
    batch = make_batch()

    def loss(params):
        logits, _ = model.apply(params, {}, batch["image"], train=True)
        return functional.cross_entropy(logits, batch["label"]).mean()

    by_hand = jax.jit(partial(mean_loss, network, backprop.cross_entropy()))
    losses, _, gradients = by_hand(params, batch["image"], batch["label"])
    value, expected = jax.jit(jax.value_and_grad(loss))(params)
    np.testing.assert_allclose(losses.mean(), value, rtol=1e-5)
    close(gradients, expected)


def test_a_chain_returns_the_gradient_of_its_input():
    features = chain({"conv": backprop.conv2d(), "tanh": backprop.tanh()})
    x, params = jnp.ones((2, 4, 4, 1)), {"conv": {"kernel": jnp.ones((3, 3, 1, 2)) / 5}}
    params["conv"]["bias"] = jnp.ones(2) / 7
    y, residuals = features.forward(params, x)
    gradients, dx = features.backward(residuals, jnp.ones_like(y))

    def total(params, x):
        return jnp.tanh(functional.conv2d(x, **params["conv"])).sum()

    close((gradients, dx), jax.jit(jax.grad(total, (0, 1)))(params, x))


@each
def test_manual_backprop_trains_as_automatic_differentiation(network, model):
    """The same learner but for the source of its gradients, with several seeds."""
    optimizer = optax.adam(1e-2)
    ours = manual_backprop(model.init, network, backprop.cross_entropy(), optimizer)
    theirs = supervised(model, functional.cross_entropy, optimizer)
    batches = [make_batch(seed=i, streams=(2,)) for i in range(3)]
    results = []
    for learner in (ours, theirs):
        learner = over_seeds(learner, 2)
        state, metrics = train(learner, jax.jit(learner.init)(jax.random.key(0)), batches)
        results.append((state, metrics, jax.jit(learner.eval_step)(state, make_batch(seed=9))))
    close(results[0], results[1], 2e-4)


@pytest.mark.parametrize(("name", "steps"), [("mlp", 60), ("cnn", 200)])
def test_no_automatic_differentiation_is_used(monkeypatch: pytest.MonkeyPatch, name, steps):
    def forbidden(*_, **__):
        raise AssertionError("differentiated")

    for function in ("grad", "value_and_grad", "vjp", "jvp", "linearize", "linear_transpose"):
        monkeypatch.setattr(jax, function, forbidden)
    network, model = NETWORKS[name]
    learner = manual_backprop(model.init, network, backprop.cross_entropy(), optax.sgd(0.5))
    state, batch = learner.init(jax.random.key(0)), make_batch(64)
    step = jax.jit(learner.train_step)
    for _ in range(steps):
        state, metrics = step(state, batch)
    assert metrics.means()["accuracy"] > 0.95
