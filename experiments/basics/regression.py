"""Regression of a noisy curve: linear, or piecewise linear with a ReLU network.

`--widths` without values makes the model linear; with hidden units it is piecewise linear, with a
kink wherever a unit switches on or off.
Command: python -m experiments.basics.regression --seeds 5
"""

from dataclasses import dataclass

import jax
import numpy as np

from dl_jax import plots
from dl_jax.data import SPLITS, Dataset
from dl_jax.errors import check_integer, check_range
from dl_jax.functional import l2_loss
from dl_jax.learners import over_seeds, supervised
from dl_jax.models import mlp
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import data_figure, report
from dl_jax.runs import RunOptions, launch, open_run
from dl_jax.training import FitConfig, fit, make_evaluate


@dataclass(frozen=True)
class Config:
    """A noisy curve with a linear model or a ReLU network."""

    widths: tuple[int, ...] = (32, 32)
    """Units of each hidden layer; none is linear regression."""
    examples: int = 200
    """Observations in each of the three splits."""
    noise: float = 0.15
    """Standard deviation of the noise of each observation."""
    seeds: int = 1
    """Independent replicas, trained side by side in one compiled program."""
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=1e-2)
    fit: FitConfig = FitConfig(epochs=400, batch_size=20, evaluate_every=100, monitor="loss")
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_integer("examples", self.examples, low=1, high=1_000_000)
        check_range("noise", self.noise, low=0, high=100)


def curve(x):
    """The true function on [-3, 3], without noise."""
    return np.sin(2 * x) + 0.4 * x


def observations(split: str, config: Config) -> Dataset:
    """Noisy points of the curve, drawn independently for each split.

    More examples add to fewer: the first n do not depend on how many follow.
    """
    positions, noise = np.random.default_rng(SPLITS.index(split)).spawn(2)
    x = positions.uniform(-3, 3, (config.examples, 1))
    y = curve(x) + noise.normal(0, 1, x.shape) * config.noise
    return Dataset("curve", split, {"x": x.astype(np.float32), "y": y.astype(np.float32)})


def main(config: Config) -> None:
    """Train, evaluate and draw."""
    data = {split: observations(split, config) for split in SPLITS}
    network = {"input_shape": (1,), "widths": config.widths, "num_classes": 1}
    model = mlp(**network)
    optimizer = make_optimizer(config.optimizer, config.fit.updates(data["train"]))
    learner = supervised(model, l2_loss, optimizer, inputs="x", targets="y", metrics={})
    learner = over_seeds(learner, config.seeds)

    run = open_run("regression", config, config.run)
    run.describe("mlp", network)
    fitted = fit(learner, data, config.fit, run)
    measured = make_evaluate(learner, config.fit.evaluation_batch_size)(fitted.best, data["test"])

    x = np.linspace(-3, 3, 300, dtype=np.float32)
    lines = jax.vmap(lambda params: model.apply(params, {}, x[:, None], train=False)[0][:, 0])
    fits = np.asarray(lines(fitted.best.params))
    curves = {"true curve": (x, curve(x)[None]), "fitted": (x, fits)}
    observed = tuple(data["train"].arrays[name][:, 0] for name in ("x", "y"))
    figures = {
        "data": data_figure(data, "y"),
        "fit": lambda: plots.named_lines(curves, x="x", y="y", points=observed),
    }
    extras = {"noise_floor": config.noise**2 / 2}
    report(run, fitted, measured.means(), figures, headline="loss", extras=extras)


if __name__ == "__main__":
    launch(Config, main)
