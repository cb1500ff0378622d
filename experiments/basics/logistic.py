"""Logistic regression: a border that is a line, or, on powers of the coordinates, a curve.

The model is linear in its features either way. With --degree 1 they are the coordinates, and no
line parts the moons; with --degree 3 they are all products of up to three coordinates.
Command: python -m experiments.basics.logistic --degree 3 --seeds 5
Known: 0.8713 ± 0.0007 with --degree 1, 0.9233 ± 0.0000 with --degree 3 over 5 seeds, 1 s on 2 cores
of an AMD EPYC.
"""

import itertools
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from dl_jax import plots
from dl_jax.data import TOYS, toy_splits
from dl_jax.errors import check_choice, check_range
from dl_jax.functional import binary_cross_entropy, dense, sigmoid
from dl_jax.learners import over_seeds, supervised
from dl_jax.models import mlp
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import report
from dl_jax.runs import RunOptions, launch, open_run
from dl_jax.training import FitConfig, fit


@dataclass(frozen=True)
class Config:
    """Points of two labels with logistic regression."""

    dataset: str = "moons"
    """`moons`, `blobs`, `circles`, `xor`, `swiss_roll` or `spirals`."""
    degree: int = 3
    """Highest power of the features; 1 is the coordinates themselves."""
    examples: int = 600
    """Points in each of the three splits."""
    noise: float = 0.08
    """Standard deviation of what is added to each coordinate."""
    seeds: int = 1
    """Independent runs, side by side in one compiled program."""
    optimizer: OptimizerConfig = OptimizerConfig(optimizer="momentum", learning_rate=0.3)
    fit: FitConfig = FitConfig(epochs=60, batch_size=60, evaluate_every=100)
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_choice("dataset", self.dataset, TOYS)
        check_range("degree", self.degree, low=1, high=9)
        check_range("examples", self.examples, low=1)


def powers(points, degree: int):
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
    features = powers(jnp.zeros((1, 2)), config.degree).shape[-1]

    linear = mlp((features,), (), 1)

    def apply(params, state, inputs, *, train, key=None):
        return linear.apply(params, state, powers(inputs, config.degree), train=train, key=key)

    learner = supervised(
        linear._replace(apply=apply),
        lambda outputs, labels: binary_cross_entropy(outputs[:, 0], labels),
        make_optimizer(config.optimizer, config.fit.updates(config.examples)),
        inputs="point",
        metrics={"accuracy": lambda y, t: ((y[:, 0] > 0) == (t == 1)).astype(jnp.float32)},
    )
    learner = over_seeds(learner, config.seeds)

    run = open_run("logistic", config, config.run)
    fitted = fit(learner, data, config.fit, run)
    first = {name: leaf[0] for name, leaf in fitted.best.params["head"].items()}

    def probability(points):
        return sigmoid(dense(powers(jnp.asarray(points), config.degree), **first)[:, 0])

    points, labels = (np.asarray(data["test"].arrays[name]) for name in ("point", "label"))
    report(
        learner, fitted, data, config.fit, run,
        figures={"border": lambda: plots.decision_boundary(points, labels, probability)},
    )  # fmt: skip


if __name__ == "__main__":
    launch(Config, main)
