"""Logistic regression: a decision boundary that is a line, or a curve on polynomial features.

The model is linear in its features. With --degree 1 they are the coordinates, and no line separates
the moons; with --degree 3 they are all products of up to three coordinates.
Command: python -m experiments.basics.logistic --degree 3 --seeds 5
"""

from dataclasses import dataclass, replace
from itertools import combinations_with_replacement

import jax
import numpy as np

from dl_jax import plots
from dl_jax.data import Dataset, ToyData
from dl_jax.errors import check_integer
from dl_jax.functional import binary_correct, binary_cross_entropy, sigmoid
from dl_jax.learners import over_seeds, supervised
from dl_jax.models import mlp
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import data_figure, report
from dl_jax.runs import RunOptions, launch, open_run
from dl_jax.training import FitConfig, fit, make_evaluate


@dataclass(frozen=True)
class Config:
    """Points of two labels with logistic regression."""

    degree: int = 3
    """Degree of the polynomial features; 1 is the coordinates themselves."""
    seeds: int = 1
    """Independent replicas, trained side by side in one compiled program."""
    data: ToyData = ToyData("moons", examples=600, noise=0.08)
    optimizer: OptimizerConfig = OptimizerConfig(optimizer="momentum", learning_rate=0.3)
    fit: FitConfig = FitConfig(epochs=60, batch_size=60, evaluate_every=100)
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_integer("degree", self.degree, low=1, high=9)


def polynomial_features(points, degree: int):
    """All products of 1 to `degree` coordinates, `[B, features]`."""
    sizes = range(1, degree + 1)
    chosen = [list(c) for size in sizes for c in combinations_with_replacement(range(2), size)]
    return np.stack([points[:, coordinates].prod(-1) for coordinates in chosen], -1)


def with_features(dataset: Dataset, degree: int) -> Dataset:
    """The points with their polynomial features."""
    features = polynomial_features(dataset.arrays["point"], degree)
    return replace(dataset, arrays={**dataset.arrays, "features": features})


def main(config: Config) -> None:
    """Train, evaluate and draw."""
    data = {k: with_features(split, config.degree) for k, split in config.data.load().items()}
    network = {
        "input_shape": data["train"].arrays["features"].shape[1:], "widths": (), "num_classes": 1
    }  # fmt: skip
    model = mlp(**network)
    learner = supervised(
        model,
        lambda outputs, labels: binary_cross_entropy(outputs[:, 0], labels),
        make_optimizer(config.optimizer, config.fit.updates(data["train"])),
        inputs="features",
        metrics={"accuracy": lambda outputs, labels: binary_correct(outputs[:, 0], labels)},
    )
    learner = over_seeds(learner, config.seeds)

    run = open_run("logistic", config, config.run)
    run.describe("mlp", network)
    fitted = fit(learner, data, config.fit, run)
    measured = make_evaluate(learner, config.fit.evaluation_batch_size)(fitted.best, data["test"])

    first = jax.tree.map(lambda leaf: leaf[0], fitted.best.params)
    points, labels = (data["test"].arrays[name] for name in ("point", "label"))

    def probability(points):
        features = polynomial_features(points, config.degree)
        return sigmoid(model.apply(first, {}, features, train=False)[0][:, 0])

    def boundary():
        return plots.decision_boundary(points, labels, probability)

    figures = {"data": data_figure(data), "decision_boundary": boundary}
    report(run, fitted, measured.means(), figures)


if __name__ == "__main__":
    launch(Config, main)
