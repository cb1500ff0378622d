"""A cell with a reset gate beside the plain cell, the GRU and the LSTM: how far each remembers.

Whether it learns a few texts by heart; how far the gradient of its last output reaches back before
training; and at which length it stops solving two tasks. Adding: of a series of numbers, the sum of
the two that are marked. Copying: symbols that are shown first have to be repeated after a delay.
Source: the course, for the cell; Hochreiter and Schmidhuber (1997), "Long short-term memory",
section 5.4, for adding; Arjovsky et al. (2015), arXiv:1511.06464, section 5.1, for copying.
Command: python -m experiments.sequence.reset_cell
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dl_jax import plots
from dl_jax.compilation import jit
from dl_jax.data import Dataset, load_texts
from dl_jax.errors import UsageError, check_integer
from dl_jax.functional import correct, cross_entropy, l2_loss
from dl_jax.learners import over_seeds, supervised
from dl_jax.models import recurrent_classifier, rnn_regressor
from dl_jax.models.recurrence import recurrence
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import data_figure, report_each
from dl_jax.runs import RunOptions, launch, open_run
from dl_jax.training import FitConfig, fit, make_evaluate

SYMBOLS, SHOWN = 8, 5
"""Different symbols of the copy task, and how many have to be repeated."""
NEAR = 0.1
"""A sum is right if it is off by less."""
Cell = Literal["rnn", "reset_rnn", "gru", "lstm"]


@dataclass(frozen=True)
class Config:
    """Cells and what they remember."""

    cells: tuple[Cell, ...] = ("rnn", "reset_rnn", "gru", "lstm")
    """Cells to compare."""
    lengths: tuple[int, ...] = (10, 30, 100, 200)
    """Steps over which something has to be remembered."""
    hidden_dim: int = 64
    """Units of each cell."""
    examples: int = 4000
    """Training series of each task; a quarter as many for validation and for the test."""
    texts: int = 64
    """Texts to be learned by heart."""
    seeds: int = 1
    """Independent replicas of each network, in one compiled program."""
    optimizer: OptimizerConfig = OptimizerConfig(
        learning_rate=3e-3, schedule="cosine", clip_norm=1.0
    )
    fit: FitConfig = FitConfig(steps=800, batch_size=50, evaluate_every=200)
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        if not self.cells or not self.lengths:
            raise UsageError("there are no cells or no lengths, expected at least one of each")
        check_integer("lengths", min(self.lengths), low=2)
        check_integer("hidden_dim", self.hidden_dim, low=1)
        check_integer("examples", self.examples, low=4)
        check_integer("texts", self.texts, low=2)


class Task(NamedTuple):
    """What has to be learned, and how it is measured.

    make: `make(random, count, length) -> (series, targets)`.
    outputs: numbers that a network predicts at each step.
    loss: `loss(outputs, targets)` for each example, or each symbol.
    right: the share of what is right, likewise.
    """

    make: Callable[[np.random.Generator, int, int], tuple[np.ndarray, np.ndarray]]
    outputs: int
    loss: Callable[[jax.Array, jax.Array], jax.Array]
    right: Callable[[jax.Array, jax.Array], jax.Array]


def main(config: Config) -> None:
    """Train every cell on every task, compare and draw."""
    run = open_run("reset_cell", config, config.run)
    learned = {}
    for task in TASKS:
        for length in config.lengths:
            data = series(TASKS[task], config, length)
            for cell in config.cells:
                learned[f"{task} {length}, {cell}"] = TASKS[task], data, cell
    fitted, measured = {}, {}
    for name, (task, data, cell) in learned.items():
        features = data["train"].arrays["series"].shape[-1]
        model = rnn_regressor(features, task.outputs, cell=cell, hidden_dim=config.hidden_dim)
        optimizer = make_optimizer(config.optimizer, config.fit.updates(data["train"]))
        learner = supervised(
            model, task.loss, optimizer, inputs="series", targets="target",
            metrics={"accuracy": task.right},
        )  # fmt: skip
        learner = over_seeds(learner, config.seeds)
        fitted[name] = fit(learner, data, config.fit, run.part(name))
        evaluate = make_evaluate(learner, config.fit.evaluation_batch_size)
        measured[name] = evaluate(fitted[name].best, data["test"]).means()
    texts = load_texts("sentiment", max_length=30)
    few = texts["train"].take(config.texts)
    for cell in config.cells:
        name = f"by heart, {cell}"
        model = recurrent_classifier(
            cell, few.tokenizer.size, few.num_classes, embedding_dim=32,
            hidden_dim=config.hidden_dim,
        )  # fmt: skip
        fitting = replace(config.fit, batch_size=min(config.fit.batch_size, len(few)))
        optimizer = make_optimizer(config.optimizer, fitting.updates(few))
        learner = over_seeds(
            supervised(model, cross_entropy, optimizer, inputs="tokens"), config.seeds
        )
        fitted[name] = fit(learner, {"train": few, "validation": few}, fitting, run.part(name))
        evaluate = make_evaluate(learner, config.fit.evaluation_batch_size)
        measured[name] = evaluate(fitted[name].best, few).means()

    def against_length(task: str):
        return {
            cell: (
                np.array(config.lengths),
                np.stack(
                    [
                        np.ravel(measured[f"{task} {length}, {cell}"]["accuracy"])
                        for length in config.lengths
                    ],
                    axis=-1,
                ),
            )
            for cell in config.cells
        }

    panels = {task: against_length(task) for task in TASKS}
    figures = {
        "data": data_figure(texts),
        "lengths": lambda: plots.named_panels(panels, x="steps to remember"),
        "gradients": partial(draw_gradients, config),
    }
    report_each(run, fitted, measured, figures)


# The tasks.


def series(task: Task, config: Config, length: int) -> dict[str, Dataset]:
    """Generated series and targets of each split."""
    counts = {"train": config.examples}
    counts |= dict.fromkeys(("validation", "test"), config.examples // 4)
    data = {}
    for number, (split, count) in enumerate(counts.items()):
        random = np.random.default_rng([config.fit.seed, number])
        inputs, targets = task.make(random, count, length)
        data[split] = Dataset("generated", split, {"series": inputs, "target": targets})
    return data


def adding(random: np.random.Generator, count: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers with marks, one in each half; the target is the sum of the two that are marked."""
    numbers, marks = random.random((count, length)), np.zeros((count, length))
    for start, stop in ((0, length // 2), (length // 2, length)):
        marks[np.arange(count), random.integers(start, stop, count)] = 1
    targets = (numbers * marks).sum(1, keepdims=True)
    return np.stack([numbers, marks], axis=-1).astype(np.float32), targets.astype(np.float32)


def copying(random: np.random.Generator, count: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Symbols, a delay of `length`, and a sign to repeat them; all one-hot."""
    symbols = random.integers(0, SYMBOLS, (count, SHOWN))
    blank, sign = SYMBOLS, SYMBOLS + 1
    codes = np.full((count, SHOWN + length + SHOWN), blank)
    codes[:, :SHOWN] = symbols
    codes[:, SHOWN + length - 1] = sign
    return np.eye(SYMBOLS + 2, dtype=np.float32)[codes], symbols.astype(np.int32)


def near(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """1 where the last output is near the sum."""
    return (jnp.abs(outputs[:, -1] - targets) < NEAR).all(-1).astype(jnp.float32)


TASKS = {
    "adding": Task(adding, 1, lambda outputs, targets: l2_loss(outputs[:, -1], targets), near),
    "copying": Task(
        copying,
        SYMBOLS,
        lambda outputs, targets: cross_entropy(outputs[:, -SHOWN:], targets),
        lambda outputs, targets: correct(outputs[:, -SHOWN:], targets),
    ),
}


# The gradient before training.


def draw_gradients(config: Config):
    """How much the last output depends on the input of each step, relative to the last."""
    length, replicas = max(config.lengths), 8
    keys = jax.random.split(jax.random.key(config.fit.seed), replicas)
    back = np.arange(length)

    def norms(cell: str) -> Any:
        layers = recurrence(cell, 1, config.hidden_dim)  # pyright: ignore[reportArgumentType]

        def of_one(key: jax.Array) -> jax.Array:
            params_key, input_key, output_key = jax.random.split(key, 3)
            params = layers.init(params_key)
            x = jax.random.normal(input_key, (16, length, 1))
            weights = jax.random.normal(output_key, (config.hidden_dim,))

            def last(x: jax.Array) -> jax.Array:
                _, carry = layers.apply(params, x, layers.start(len(x)), train=False)
                return (layers.last(carry) @ weights).sum()

            size = jnp.abs(jax.grad(last)(x)).mean((0, 2))[::-1]
            return size / size[0]

        return np.maximum(np.asarray(jit(jax.vmap(of_one))(keys)), 1e-20)

    return plots.named_lines(
        {cell: (back, norms(cell)) for cell in config.cells},
        x="steps back from the last", y="gradient by the input, relative", log_scale=True,
    )  # fmt: skip


if __name__ == "__main__":
    launch(Config, main)
