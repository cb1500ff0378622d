"""The general optimizer against the standard ones, and the sweep against its points in turn."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl_jax.data import load_splits
from dl_jax.runs import RunOptions, open_run
from dl_jax.training import FitConfig
from experiments.basics.optimizers_and_initializers import (
    OPTIMIZERS,
    Config,
    UpdateCoefficients,
    choose,
    general_optimizer,
    learner_maker,
    standard_optimizer,
    train_in_turn,
    train_sweep,
)

START = {"kernel": jnp.array([[1.0, -2.0], [0.5, 3.0]]), "bias": jnp.array([0.1, 0.0])}


def gradient(params):
    return jax.grad(lambda p: (p["kernel"] ** 4).sum() / 4 + 2 * (p["bias"] ** 2).sum())(params)


def descended(optimizer, steps=100):
    def step(carry, _):
        params, state = carry
        updates, state = optimizer.update(gradient(params), state, params)
        return (optax.apply_updates(params, updates), state), None

    return jax.lax.scan(step, (START, optimizer.init(START)), length=steps)[0][0]


def test_general_optimizer_equals_each_standard_one_alone_and_under_vmap():
    columns = UpdateCoefficients(
        *(jnp.array(column) for column in zip(*OPTIMIZERS.values(), strict=True))
    )
    mapped = jax.vmap(lambda c: descended(general_optimizer(c)))(columns)
    for i, (name, coefficients) in enumerate(OPTIMIZERS.items()):
        expected = descended(standard_optimizer(name))
        alone = descended(general_optimizer(coefficients))
        for actual in (alone, jax.tree.map(lambda leaf, i=i: leaf[i], mapped)):
            jax.tree.map(
                lambda a, e: np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-6),
                actual,
                expected,
            )


def test_a_sweep_trains_the_same_networks_as_its_points_in_turn(tmp_path):
    fit = FitConfig(steps=12, batch_size=32, evaluate_every=6, stop_on_nonfinite=False)
    config = Config(depths=(1, 2), width=8, fit=fit, run=RunOptions(out=tmp_path))
    data = load_splits("digits")
    make_learner = learner_maker(config, data["train"])
    points = {"depth": (1, 2), "optimizer": (0, 5), "initializer": (4, 4)}
    grid = {name: np.array(values) for name, values in points.items()}
    both = [
        train(make_learner, grid, data, fit, open_run(train.__name__, config, config.run))[0]
        for train in (train_sweep, train_in_turn)
    ]
    for metric, swept in both[0].items():
        if metric.endswith("accuracy"):
            np.testing.assert_array_equal(swept, both[1][metric])
        else:
            np.testing.assert_allclose(swept, both[1][metric], rtol=1e-5)


@pytest.mark.parametrize(
    ("accuracy", "loss", "chosen"),
    [
        ([0.2, 0.9, 0.9, 0.5], [0.1, 0.4, 0.3, 0.1], 2),  # equal accuracies: the lower loss
        ([np.nan, 0.1, 0.0, np.nan], [np.nan, 9.0, 1.0, np.nan], 1),  # diverged points never
    ],
)
def test_choice_is_by_validation_and_not_by_test_accuracy(accuracy, loss, chosen):
    tables = {
        "validation_accuracy": np.array(accuracy),
        "validation_loss": np.array(loss),
        "test_accuracy": np.array([0.99, 0.4, 0.3, 0.98]),
    }
    best = choose({metric: values.reshape(2, 2) for metric, values in tables.items()})
    assert best["test_accuracy"] == tables["test_accuracy"][chosen]
    assert best["validation_accuracy"] == accuracy[chosen]
