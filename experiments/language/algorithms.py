"""Copy, reverse, sort and add: how far transformers of different positions go beyond their lengths.

An encoder-decoder learns each task on sequences up to a length, and is then tested, writing by
itself, on every length up to twice that; training never shows a sequence of the test. Numbers are
written from their last digit, as one adds.
Source: the course; Vaswani et al. (2017), arXiv:1706.03762, and Su et al. (2021), arXiv:2104.09864,
for the positions; Kazemnejad et al. (2023), arXiv:2305.19466, for the question.
Command: python -m experiments.language.algorithms
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import jax
import numpy as np
from numpy.typing import NDArray

from dl_jax import plots
from dl_jax.data import Dataset
from dl_jax.decoding import generate
from dl_jax.errors import UsageError, check_integer, check_range
from dl_jax.learners import over_seeds, sequence_to_sequence
from dl_jax.models import Model, transformer_seq2seq
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import report_each
from dl_jax.runs import RunOptions, launch, open_run
from dl_jax.training import FitConfig, Fitted, fit, make_evaluate

PLUS, BEGIN, END = 11, 12, 13
"""Tokens behind the digits, which are 1 to 10; 0 is padding."""
VOCABULARY = 14
HELD_OUT = 5
"""One in so many sequences is never seen in training."""
TaskName = Literal["copy", "reverse", "sort", "add"]
PositionName = Literal["learned", "sinusoidal", "rotary"]


@dataclass(frozen=True)
class Config:
    """Tasks and positions."""

    tasks: tuple[TaskName, ...] = ("copy", "reverse", "sort", "add")
    """Tasks to learn."""
    positions: tuple[PositionName, ...] = ("learned", "sinusoidal", "rotary")
    """Positions to compare."""
    length: int = 8
    """Digits of a sequence, or of each number, in training, at most."""
    width: int = 64
    """Features of each token."""
    num_layers: int = 2
    """Blocks of the encoder, and of the decoder."""
    dropout_rate: float = 0.0
    """Probability of dropping a feature in training."""
    examples: int = 50_000
    """Training sequences of each task."""
    tested: int = 200
    """Test sequences of each length."""
    seeds: int = 1
    """Independent replicas of each network, in one compiled program."""
    optimizer: OptimizerConfig = OptimizerConfig(
        learning_rate=2e-3, schedule="cosine", warmup=0.1, clip_norm=1.0
    )
    fit: FitConfig = FitConfig(steps=3000, batch_size=128, evaluate_every=500, monitor="exact",
                               monitor_mode="max")  # fmt: skip
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        if not self.tasks or not self.positions:
            raise UsageError("there are no tasks or no positions, expected at least one of each")
        for name in ("length", "width", "num_layers", "tested"):
            check_integer(name, getattr(self, name), low=1)
        check_integer("examples", self.examples, low=10)
        check_range("dropout_rate", self.dropout_rate, low=0, high=1, exclusive_high=True)


def main(config: Config) -> None:
    """Train every position on every task, test each length and draw."""
    run = open_run("algorithms", config, config.run)
    lengths = np.arange(1, 2 * config.length + 1)
    fitted, measured, curves = {}, {}, {}
    for task in config.tasks:
        data = sequences(task, config)
        curves[task] = {}
        for positions in config.positions:
            name = f"{task}, {positions}"
            network = {
                "vocab_size": VOCABULARY, "max_source": source_length(2 * config.length),
                "max_target": target_length(2 * config.length), "positions": positions,
                "width": config.width, "num_layers": config.num_layers,
                "dropout_rate": config.dropout_rate,
            }  # fmt: skip
            model, part = transformer_seq2seq(**network), run.part(name)
            part.describe("transformer_seq2seq", network)
            optimizer = make_optimizer(config.optimizer, config.fit.updates(data["train"]))
            learner = over_seeds(sequence_to_sequence(model, optimizer), config.seeds)
            fitted[name] = fit(learner, data, config.fit, part)
            evaluate = make_evaluate(learner, config.fit.evaluation_batch_size)
            measured[name] = evaluate(fitted[name].best, data["test"]).means()
            solved = [solved_at(model, fitted[name], task, config, each) for each in lengths]
            curves[task][positions] = lengths, np.stack(solved, axis=-1)
    figures = {
        "data": partial(draw_lengths, config),
        "lengths": lambda: plots.named_panels(
            curves, x=f"digits (trained on 1 to {config.length})", y="solved exactly"
        ),
    }
    extras = {
        "exact_by_length": {
            task: {name: rates.tolist() for name, (_, rates) in found.items()}
            for task, found in curves.items()
        }
    }
    report_each(run, fitted, measured, figures, headline="exact", extras=extras)


def solved_at(
    model: Model, fitted: Fitted, task: TaskName, config: Config, length: int
) -> np.ndarray:
    """The share of sequences of a length that each replica, writing by itself, solves."""
    assert model.stepper is not None
    random = np.random.default_rng([config.fit.seed, 3, length])
    arrays = drawn(task, random, lambda _, count: np.full(count, length), config.tested,
                   2 * config.length, held_out=True)  # fmt: skip
    source, target = arrays["source"], arrays["target"]
    prompts, found = np.full((config.tested, 1), BEGIN), []
    for replica in range(config.seeds):
        params = jax.tree.map(lambda leaf, replica=replica: leaf[replica], fitted.weights[0])
        written = generate(
            model.stepper, params, prompts, target.shape[1] - 1, stop=(END,), context=source
        )
        found.append((np.asarray(written) == target[:, 1:]).all(1).mean())
    return np.array(found)


def draw_lengths(config: Config):
    """One example of each task."""
    random = np.random.default_rng(config.fit.seed)
    lines = {}
    for task in config.tasks:
        source, target = TASKS[task](random, np.array([config.length]), config.length)
        lines[task] = (source != 0).sum(), (target != 0).sum()
    shares = {
        "source": np.array([float(read) for read, _ in lines.values()]),
        "target": np.array([float(written) for _, written in lines.values()]),
    }
    return plots.grouped_bars(shares, [*lines], x="task", y="tokens of the longest example")


# The tasks: `task(random, lengths, longest) -> (source, target)`, padded to the longest.


def sequences(task: TaskName, config: Config) -> dict[str, Dataset]:
    """Generated examples of each split, no longer than in training."""
    counts = {"train": config.examples}
    counts |= dict.fromkeys(("validation", "test"), max(1, config.examples // 25))
    data = {}
    for number, (split, count) in enumerate(counts.items()):
        random = np.random.default_rng([config.fit.seed, number])
        arrays = drawn(task, random, lambda r, n: r.integers(1, config.length + 1, n), count,
                       config.length, held_out=split != "train")  # fmt: skip
        data[split] = Dataset(task, split, arrays)
    return data


def drawn(
    task: TaskName,
    random: np.random.Generator,
    lengths: Callable[[np.random.Generator, int], NDArray],
    count: int,
    longest: int,
    *,
    held_out: bool,
) -> dict[str, NDArray]:
    """`count` examples that are held out from training, or that are not.

    Which are, depends on the source alone, one in `HELD_OUT`: short ones would else be learned by
    heart.
    """
    sources, targets, found = [], [], 0
    while found < count:
        source, target = TASKS[task](random, lengths(random, count), longest)
        kept = np.array([is_held_out(row) == held_out for row in source])
        sources.append(source[kept])
        targets.append(target[kept])
        found += kept.sum()
    joined = {"source": np.concatenate(sources), "target": np.concatenate(targets)}
    return {name: array[:count] for name, array in joined.items()}


def is_held_out(source: NDArray) -> bool:
    """Whether a source, padded or not, is kept for validation and test."""
    return zlib.crc32(np.trim_zeros(source, "b").astype(np.int32).tobytes()) % HELD_OUT == 0


def source_length(longest: int) -> int:
    """Tokens of the longest source, two numbers and a sign."""
    return 2 * longest + 1


def target_length(longest: int) -> int:
    """Tokens of the longest target: a sum has a digit more; a begin and an end."""
    return longest + 3


def rearranged(
    change: Callable[[NDArray], NDArray],
    random: np.random.Generator,
    lengths: NDArray,
    longest: int,
) -> tuple[NDArray, NDArray]:
    """Digits, and the same digits in another order."""
    sources = [random.integers(1, 11, length) for length in lengths]
    return padded(sources, [change(source) for source in sources], longest)


def sums(random: np.random.Generator, lengths: NDArray, longest: int) -> tuple[NDArray, NDArray]:
    """Two numbers of as many digits, and their sum, all from the last digit."""
    sources, targets = [], []
    for length in lengths:
        first, second = random.integers(0, 10, (2, length))
        total, carry = [], 0
        for a, b in zip(first, second, strict=True):
            carry, digit = divmod(int(a) + int(b) + carry, 10)
            total.append(digit)
        sources.append(np.array([*first + 1, PLUS, *second + 1]))
        targets.append(np.array([*total, carry]) + 1)
    return padded(sources, targets, longest)


def padded(
    sources: list[NDArray], targets: list[NDArray], longest: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Sources, and targets with their begin and end, filled up with 0."""
    source = np.zeros((len(sources), source_length(longest)), np.int32)
    target = np.zeros((len(targets), target_length(longest)), np.int32)
    for row, (read, written) in enumerate(zip(sources, targets, strict=True)):
        source[row, : len(read)] = read
        target[row, : len(written) + 2] = [BEGIN, *written, END]
    return source, target


TASKS: dict[TaskName, Callable[..., tuple[NDArray, NDArray]]] = {
    "copy": partial(rearranged, lambda digits: digits),
    "reverse": partial(rearranged, lambda digits: digits[::-1]),
    "sort": partial(rearranged, np.sort),
    "add": sums,
}


if __name__ == "__main__":
    launch(Config, main)
