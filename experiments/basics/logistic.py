"""Logistic regression: a decision boundary that is a line, or a curve on polynomial features.

The model is linear in its features. With --degree 1 they are the coordinates, and no line separates
the moons; with --degree 3 they are all products of up to three coordinates.
Command: python -m experiments.basics.logistic --degree 3 --seeds 5
"""

import itertools
from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
import numpy as np

from dl_jax import plots
from dl_jax.data import toy_splits
from dl_jax.errors import check_integer, check_range
from dl_jax.functional import binary_correct, binary_cross_entropy, dense, sigmoid
from dl_jax.learners import over_seeds, supervised
from dl_jax.models import mlp
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import report
from dl_jax.runs import RunOptions, launch, open_run
from dl_jax.training import FitConfig, fit


@dataclass(frozen=True)
class Config:
    """Points of two labels with logistic regression."""

    dataset: Literal["moons", "blobs", "circles", "xor", "swiss_roll", "spirals"] = "moons"
    """Toy problem."""
    degree: int = 3
    """Degree of the polynomial features; 1 is the coordinates themselves."""
    examples: int = 600
    """Points in each of the three splits."""
    noise: float = 0.08
    """Standard deviation of the noise added to each coordinate."""
    seeds: int = 1
    """Independent replicas, trained side by side in one compiled program."""
    optimizer: OptimizerConfig = OptimizerConfig(optimizer="momentum", learning_rate=0.3)
    fit: FitConfig = FitConfig(epochs=60, batch_size=60, evaluate_every=100)
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_integer("degree", self.degree, low=1, high=9)
        check_integer("examples", self.examples, low=1, high=1_000_000)
        check_range("noise", self.noise, low=0, high=10)


def polynomial_features(points, degree: int):
    """All products of 1 to `degree` coordinates, `[B, features]`."""
    chosen = (
        combination
        for size in range(1, degree + 1)
        for combination in itertools.combinations_with_replacement(range(2), size)
    )
    return jnp.stack([points[:, list(combination)].prod(-1) for combination in chosen], -1)


def main(config: Config) -> None:
    """Train, evaluate and draw."""
    data = toy_splits(config.dataset, config.examples, noise=config.noise)
    features = polynomial_features(jnp.zeros((1, 2)), config.degree).shape[-1]

    linear = mlp((features,), (), 1)

    def apply(params, state, inputs, *, train, key=None):
        return linear.apply(
            params, state, polynomial_features(inputs, config.degree), train=train, key=key
        )

    learner = supervised(
        linear._replace(apply=apply),
        lambda outputs, labels: binary_cross_entropy(outputs[:, 0], labels),
        make_optimizer(config.optimizer, config.fit.updates(config.examples)),
        inputs="point",
        metrics={"accuracy": lambda outputs, labels: binary_correct(outputs[:, 0], labels)},
    )
    learner = over_seeds(learner, config.seeds)

    run = open_run("logistic", config, config.run)
    fitted = fit(learner, data, config.fit, run)
    first = {name: leaf[0] for name, leaf in fitted.best.params["head"].items()}

    def probability(points):
        return sigmoid(
            dense(polynomial_features(jnp.asarray(points), config.degree), **first)[:, 0]
        )

    points, labels = (np.asarray(data["test"].arrays[name]) for name in ("point", "label"))
    report(
        learner, fitted, data, config.fit, run,
        figures={"decision_boundary": lambda: plots.decision_boundary(points, labels, probability)},
    )  # fmt: skip


if __name__ == "__main__":
    launch(Config, main)
