"""Two custom layers against standard ones: split_linear and drop_norm.

`split_linear` applies one small dense layer to each part of its input, for fewer parameters;
`drop_norm` combines dropout and normalization. They replace dense layers, batch normalization with
dropout, or both.
Command: python -m experiments.basics.custom_layers --dataset mnist --seeds 5
"""

import time
from dataclasses import dataclass

import jax
import numpy as np

from dl_jax import plots
from dl_jax.compilation import jit
from dl_jax.data import ImageData, image_statistics
from dl_jax.errors import UsageError, check_integer, check_range
from dl_jax.functional import cross_entropy, drop_norm, he_normal, relu, split_linear
from dl_jax.learners import over_seeds, supervised
from dl_jax.models import Model, chain, drop, flatten, from_function, linear, norm, on_images
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import data_figure, report_each
from dl_jax.runs import RunOptions, launch, open_run
from dl_jax.training import FitConfig, fit_each, make_evaluate, metric_curve


@dataclass(frozen=True)
class Config:
    """Custom layers against standard ones."""

    width: int = 256
    """Units of each of the two hidden layers."""
    parts: int = 4
    """Parts that split_linear divides its input into."""
    rate: float = 0.2
    """Probability of dropping a hidden unit."""
    seeds: int = 5
    """Independent replicas of each network, trained side by side in one compiled program."""
    data: ImageData = ImageData("digits")
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=2e-3)
    fit: FitConfig = FitConfig(epochs=15, batch_size=64)
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_integer("parts", self.parts, low=1)
        check_integer("width", self.width, low=1)
        check_range("rate", self.rate, low=0, high=1, exclusive_high=True)
        if self.width % self.parts:
            raise UsageError(f"width is {self.width}, expected a multiple of parts ({self.parts})")


def split(fan_in: int, units: int, parts: int) -> Model:
    """A layer of `split_linear`: one small dense layer, applied to each part of its input."""
    part = linear(fan_in // parts, units // parts, kernel_init=he_normal)
    return from_function(split_linear, lambda key: part.init(key)[0])


def dropping_norm(units: int, rate: float) -> Model:
    """A layer of `drop_norm`."""

    def apply(params, state, inputs, *, train, key=None):
        return drop_norm(inputs, **params, rate=rate, train=train, key=key), state

    return Model(lambda key: (norm(units).init(key)[0], {}), apply)


def network(config: Config, inputs: int, classes: int, splits: bool, combined: bool) -> Model:
    """Two hidden layers, of split_linear or dense, with drop_norm or batch norm and dropout."""
    width, layers = config.width, {"flatten": flatten}
    for i, fan_in in ((1, inputs), (2, width)):
        dense = linear(fan_in, width, kernel_init=he_normal)
        layers[f"linear{i}"] = split(fan_in, width, config.parts) if splits else dense
        if combined:
            layers |= {f"norm{i}": dropping_norm(width, config.rate), f"relu{i}": relu}
        else:
            layers |= {f"norm{i}": norm(width), f"relu{i}": relu, f"drop{i}": drop(config.rate)}
    return chain({**layers, "head": linear(width, classes)})


def examples_per_second(learners, states, batch: dict, rounds: int = 7) -> dict[str, float]:
    """Training speed of all replicas together, without compilation: the median of the rounds.

    The learners take turns, so that other load on the machine affects all of them.
    """
    batch, steps, seconds = jax.device_put(batch), {}, {name: [] for name in learners}
    for name, learner in learners.items():
        steps[name] = jit(learner.train_step)
        jax.block_until_ready(steps[name](states[name], batch))
    for _ in range(rounds):
        for name, step in steps.items():
            state, began = states[name], time.perf_counter()
            for _ in range(10):
                state, _ = step(state, batch)
            jax.block_until_ready(state)
            seconds[name].append(time.perf_counter() - began)
    return {name: 10 * batch["label"].size / np.median(each) for name, each in seconds.items()}


def main(config: Config) -> None:
    """Train four networks, compare and draw."""
    data = config.data.load()
    train, statistics = data["train"], image_statistics(data["train"])
    sizes = int(np.prod(train.image_shape)), train.num_classes
    if sizes[0] % config.parts:
        raise UsageError(f"parts is {config.parts}, expected a divisor of {sizes[0]} inputs")
    optimizer = make_optimizer(config.optimizer, config.fit.updates(train))

    kinds = {"dense, batch norm + dropout": (False, False), "dense, drop_norm": (False, True),
             "split_linear, batch norm + dropout": (True, False),
             "split_linear, drop_norm": (True, True)}  # fmt: skip
    learners = {}
    for name, kind in kinds.items():
        model = on_images(network(config, *sizes, *kind), statistics)
        learners[name] = over_seeds(supervised(model, cross_entropy, optimizer), config.seeds)
    run = open_run("custom_layers", config, config.run)
    fitted = fit_each(learners, data, config.fit, run)

    batch = train.batch(
        train.order(config.fit.batch_size, config.fit.seed, (config.seeds,)).batch(0)
    )
    best_of = {name: each.best for name, each in fitted.items()}
    speeds, measured = examples_per_second(learners, best_of, batch), {}
    for name, learner in learners.items():
        evaluate = make_evaluate(learner, config.fit.evaluation_batch_size)
        leaves = jax.tree.leaves(best_of[name].params)
        measured[name] = {
            **evaluate(best_of[name], data["test"]).means(),
            "parameters": sum(leaf.size for leaf in leaves) // config.seeds,
            "examples_per_second": round(speeds[name]),
        }
    curves = {name: metric_curve(each, "accuracy", "validation") for name, each in fitted.items()}
    figures = {
        "data": data_figure(data),
        "accuracy": lambda: plots.named_lines(curves, x="step", y="validation accuracy"),
    }
    report_each(run, fitted, measured, figures)


if __name__ == "__main__":
    launch(Config, main)
