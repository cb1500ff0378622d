"""Two custom layers against standard ones: split_linear and drop_norm.

`split_linear` applies one small dense layer to each part of its input, for fewer parameters;
`drop_norm` combines dropout and normalization. They replace dense layers, batch normalization with
dropout, or both.
Command: python -m experiments.basics.custom_layers --dataset mnist --seeds 5
"""

import time
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from dl_jax import plots
from dl_jax.compilation import jit
from dl_jax.data import image_statistics, load_splits
from dl_jax.errors import UsageError, check_integer, check_range
from dl_jax.functional import (
    batch_norm,
    cross_entropy,
    dense,
    drop_norm,
    dropout,
    he_normal,
    lecun_normal,
    relu,
    split_linear,
)
from dl_jax.learners import over_seeds, supervised
from dl_jax.models import Model, layer_key, standardize, with_preprocessing
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import (
    data_figure,
    format_mean_std,
    mean_and_std,
    save_figures,
    write_result,
)
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
    dataset: str = "digits"
    """`digits` (comes with the installation), a TFDS name such as `mnist`, or a folder with images
    of each class."""
    seeds: int = 5
    """Independent replicas of each network, trained side by side in one compiled program."""
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=2e-3)
    fit: FitConfig = FitConfig(epochs=15, batch_size=64)
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_integer("parts", self.parts, low=1)
        check_integer("width", self.width, low=1)
        check_range("rate", self.rate, low=0, high=1, exclusive_high=True)
        if self.width % self.parts:
            raise UsageError(f"width is {self.width}, expected a multiple of parts ({self.parts})")


def network(inputs: int, config: Config, classes: int, *, split: bool, combined: bool) -> Model:
    """Two hidden layers, of split_linear or dense, with drop_norm or batch norm and dropout."""
    parts = config.parts if split else 1
    linear = split_linear if split else dense
    width, rate = config.width, config.rate

    def init(key):
        keys = jax.random.split(key, 3)
        ones, zeros = jnp.ones(width), jnp.zeros(width)
        params = {
            "head": {"kernel": lecun_normal(keys[2], (width, classes)), "bias": jnp.zeros(classes)}
        }
        for i, fan_in in ((1, inputs), (2, width)):
            shape = (fan_in // parts, width // parts)
            params[f"linear{i}"] = {"kernel": he_normal(keys[i - 1], shape),
                                    "bias": jnp.zeros(shape[1])}  # fmt: skip
            params[f"norm{i}"] = {"scale": ones, "bias": zeros}
        if combined:
            return params, {}
        return params, {f"norm{i}": {"mean": zeros, "var": ones} for i in (1, 2)}

    def apply(params, state, inputs, *, train, key=None):
        x, statistics = inputs.reshape(inputs.shape[0], -1), {}
        for i in (1, 2):
            norm, drop_key = f"norm{i}", layer_key(key, i) if train else None
            x = linear(x, **params[f"linear{i}"])
            if combined:
                x = relu(drop_norm(x, **params[norm], rate=rate, train=train, key=drop_key))
            else:
                x, statistics[norm] = batch_norm(x, **params[norm], **state[norm], train=train)
                x = relu(x)
                if drop_key is not None:
                    x = dropout(x, rate, key=drop_key)
        return dense(x, **params["head"]), statistics

    return Model(init, apply)


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
    data = load_splits(config.dataset, config.run.data_dir)
    train = data["train"]
    preprocess = standardize(*image_statistics(train))
    inputs, classes = int(np.prod(train.image_shape)), train.num_classes
    if inputs % config.parts:
        raise UsageError(f"parts is {config.parts}, expected a divisor of {inputs} inputs")
    optimizer = make_optimizer(config.optimizer, config.fit.updates(len(train)))

    kinds = {"dense, batch norm + dropout": (False, False), "dense, drop_norm": (False, True),
             "split_linear, batch norm + dropout": (True, False),
             "split_linear, drop_norm": (True, True)}  # fmt: skip
    learners = {}
    for name, (split, combined) in kinds.items():
        model = network(inputs, config, classes, split=split, combined=combined)
        model = with_preprocessing(model, preprocess)
        learners[name] = over_seeds(supervised(model, cross_entropy, optimizer), config.seeds)

    run = open_run("custom_layers", config, config.run)
    fitted = fit_each(learners, data, config.fit, run)

    batch = train.batch(config.fit.order(len(train), (config.seeds,)).batch(0))
    best_of = {name: each.best for name, each in fitted.items()}
    speeds, summary = examples_per_second(learners, best_of, batch), {}
    for name, learner in learners.items():
        best = best_of[name]
        evaluate = make_evaluate(learner, config.fit.evaluation_batch_size)
        accuracy = evaluate(best, data["test"]).means()["accuracy"]
        summary[name] = {
            "accuracy": mean_and_std(accuracy),
            "parameters": sum(leaf.size for leaf in jax.tree.leaves(best.params)) // config.seeds,
            "examples_per_second": round(speeds[name]),
        }
    write_result(run, {"test": summary}, sum(each.seconds for each in fitted.values()))
    curves = {name: metric_curve(each, "accuracy", "validation") for name, each in fitted.items()}
    save_figures(
        run,
        {
            "data": data_figure(data, "label"),
            "accuracy": lambda: plots.named_lines(curves, x="step", y="validation accuracy"),
        },
    )
    for name, row in summary.items():
        speed = f"{row['examples_per_second']:>9,} examples/s"
        accuracy = format_mean_std(row["accuracy"])
        print(f"{name:35} {accuracy}  {row['parameters']:>8,} parameters  {speed}")
    print(f"figures and result.json in {run.directory}")


if __name__ == "__main__":
    launch(Config, main)
