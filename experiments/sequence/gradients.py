"""How gradients vanish and explode in a recurrent network that predicts a series.

Before training: how large the gradient of the last output is by the input of each step, against the
spectral radius of the recurrent kernel, for three activations. After: which radius trains with
which clipping, hundreds of networks in one program. And one network more: its predictions one step
ahead, and what it goes on with by itself.
Source: the course; Pascanu, Mikolov and Bengio (2013), arXiv:1211.5063.
Command: python -m experiments.sequence.gradients
Sunspots have fewer steps: --dataset sunspots --window 20
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dl_jax import plots
from dl_jax.compilation import jit
from dl_jax.data import Dataset, SeriesData
from dl_jax.errors import UsageError, check_integer, check_range
from dl_jax.functional import GatedCell, l2_loss, relu, scan_cell, tanh
from dl_jax.learners import over_hyperparameters, product, supervised
from dl_jax.models import Model, rnn_regressor
from dl_jax.models.recurrence import init_cell
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import data_figure, report
from dl_jax.runs import RunOptions, launch, open_run
from dl_jax.training import FitConfig, Fitted, fit, make_evaluate

CELLS = {
    "tanh": GatedCell(lambda _, a: tanh(a)),
    "relu": GatedCell(lambda _, a: relu(a)),
    "none": GatedCell(lambda _, a: a),
}
FLOWS = 8
"""Networks over which the gradient before training is averaged."""
RADII = (0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.35, 1.5)
"""Spectral radii of the gradient before training."""


@dataclass(frozen=True)
class Config:
    """A recurrent network on a series."""

    hidden_dim: int = 32
    """Units of the plain cell."""
    radii: tuple[float, ...] = (0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0)
    """Spectral radii of the recurrent kernel at the beginning of a training."""
    clips: tuple[float, ...] = (0.01, 0.1, 1.0, 10.0, 1e6)
    """Norms to which gradients are clipped; the last is none."""
    repeats: int = 4
    """Networks for each radius and clipping."""
    rate: float = 0.1
    """Learning rate of those, by plain gradient descent."""
    rollout: int = 150
    """Steps that a network goes on by itself."""
    data: SeriesData = SeriesData()
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=3e-3, clip_norm=1.0)
    fit: FitConfig = FitConfig(steps=600, batch_size=50, evaluate_every=200, monitor="loss")
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_integer("hidden_dim", self.hidden_dim, low=1)
        check_integer("repeats", self.repeats, low=1)
        check_integer("rollout", self.rollout, low=1)
        check_range("rate", self.rate, low=0, exclusive_low=True)
        if not self.radii or not self.clips:
            raise UsageError("there are no radii or no clips, expected at least one of each")
        check_range("radii", min(self.radii), low=0)
        check_range("clips", min(self.clips), low=0, exclusive_low=True)


def main(config: Config) -> None:
    """Train one network and hundreds, and draw."""
    data = config.data.load()
    run = open_run("gradients", config, config.run)
    network = {"features": 1, "outputs": 1, "hidden_dim": config.hidden_dim}
    model = rnn_regressor(**network)
    run.describe("rnn_regressor", network)
    make = partial(supervised, loss=l2_loss, inputs="series", targets="target", metrics={})
    optimizer = make_optimizer(config.optimizer, config.fit.updates(data["train"]))
    learner = make(model, optimizer=optimizer)
    fitted = fit(learner, data, config.fit, run)

    def learner_of(radius: jax.Array, clip: jax.Array, number: jax.Array):
        descent = optax.chain(optax.clip_by_global_norm(clip), optax.sgd(config.rate))
        return make(with_radius(model, radius, number), optimizer=descent)

    grid = product({"radius": config.radii, "clip": config.clips, "number": range(config.repeats)})
    sweep = over_hyperparameters(learner_of, grid)
    fitting = replace(config.fit, stop_on_nonfinite=False)
    swept = fit(sweep, data, fitting, run.part("sweep"))
    evaluate = make_evaluate(learner, config.fit.evaluation_batch_size)
    measured = evaluate(fitted.best, data["test"]).means()
    measured["loss_of_the_last_number"] = persistence(data["test"])
    reached = final_losses(swept, config)
    figures = {
        "data": data_figure(data, "target"),
        "flow": partial(draw_flow, config),
        "training": lambda: draw_training(reached, config),
        "prediction": partial(draw_prediction, model, fitted, data["test"], config),
    }
    diverged = np.isinf(reached)
    extras = {"sweep": {"median_validation_loss": np.where(diverged, None, reached).tolist()}}
    report(run, fitted, measured, figures, headline="loss", extras=extras)


def with_radius(model: Model, radius: jax.Array, number: jax.Array) -> Model:
    """The model whose orthogonal recurrent kernel begins with a spectral radius, drawn anew."""

    def init(key: jax.Array):
        params, state = model.init(jax.random.fold_in(key, number))
        kernel = params["layer1"]["forward"]["hidden"]["kernel"]
        params["layer1"]["forward"]["hidden"]["kernel"] = radius * kernel
        return params, state

    return model._replace(init=init)


def persistence(test: Dataset) -> float:
    """The loss of predicting that nothing changes."""
    arrays = test.arrays
    return float(np.mean((arrays["target"][:] - arrays["series"][:]) ** 2) / 2)


def final_losses(swept: Fitted, config: Config) -> np.ndarray:
    """The last validation loss of each radius and clipping: the median of the repeats.

    It is infinite where most of them diverged: their losses are None, as in JSON.
    """
    last = [row for row in swept.history if row["split"] == "validation"][-1]["loss"]
    losses = np.array(last, np.float64)
    table = losses.reshape(len(config.radii), len(config.clips), config.repeats)
    return np.median(np.where(np.isfinite(table), table, np.inf), axis=-1)


def draw_training(losses: np.ndarray, config: Config):
    """Which radius trains with which clipping."""
    clips = [f"{clip:g}" if clip < 1e6 else "none" for clip in config.clips]
    return plots.heat_maps(
        {"after training": losses}, [f"{radius:g}" for radius in config.radii], clips,
        value="validation loss", x="gradient clipped to", y="spectral radius", limits=(0.0, 0.5),
    )  # fmt: skip


def draw_flow(config: Config):
    """The gradient of the last output by the input of each step, before training."""
    length = config.data.window

    def size(update: GatedCell, radius: jax.Array, key: jax.Array) -> jax.Array:
        params_key, input_key, output_key = jax.random.split(key, 3)
        params = init_cell(params_key, "rnn", 1, config.hidden_dim)
        params["hidden"]["kernel"] = radius * params["hidden"]["kernel"]
        x = jax.random.normal(input_key, (8, length, 1))
        weights = jax.random.normal(output_key, (config.hidden_dim,))
        start = jnp.zeros((8, config.hidden_dim))
        gradient = jax.grad(lambda x: (scan_cell(update, params, start, x)[0] @ weights).sum())(x)
        return jnp.abs(gradient).mean((0, 2))[::-1]

    keys = jax.random.split(jax.random.key(config.fit.seed), FLOWS)

    def flow(update: GatedCell) -> np.ndarray:
        each: Callable = jax.vmap(partial(size, update), (None, 0))
        found = jit(jax.vmap(each, (0, None)))(jnp.asarray(RADII, jnp.float32), keys)
        return np.asarray(jnp.log10(jnp.maximum(found.mean(1), 1e-12)))  # [radii, steps]

    shown = np.arange(0, length, max(1, length // 8))
    tables = {f"activation: {name}": flow(cell)[:, shown] for name, cell in CELLS.items()}
    return plots.heat_maps(
        tables, [f"{radius:g}" for radius in RADII], [str(step) for step in shown],
        value="log10 of the gradient", x="steps back", y="spectral radius", limits=(-6.0, 2.0),
    )  # fmt: skip


def draw_prediction(model: Model, fitted: Fitted, test: Dataset, config: Config):
    """One step ahead, and free running from the end of the first window."""
    params, state = fitted.weights
    series = np.concatenate([test.arrays["series"][0], test.arrays["series"][1:, -1]])  # [T, 1]
    begun = config.data.window
    count = min(config.rollout, len(series) - begun)
    apply = jit(partial(model.apply, train=False))
    ahead, _ = apply(params, state, series[None, : begun + count])
    (predicted, carry), _ = apply(params, state, (series[None, :begun], None))
    free = [np.asarray(predicted)[0, -1]]
    for _ in range(count - 1):
        (predicted, carry), _ = apply(params, state, (free[-1][None, None], carry))
        free.append(np.asarray(predicted)[0, -1])
    steps = np.arange(begun + count)
    curves = {
        "series": (steps, series[: begun + count, 0][None]),
        "one step ahead": (steps[1:], np.asarray(ahead)[0, :-1, 0][None]),
        "by itself": (steps[begun:], np.ravel(free)[None]),
    }
    return plots.named_lines(curves, x="step of the test split", y="standardized")


if __name__ == "__main__":
    launch(Config, main)
