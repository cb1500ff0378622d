"""Regression as classification: the target is discretized into quantile or uniform bins.

Quantile bins (deciles by default) give balanced classes. Uniform bins, of equal width, give classes
as imbalanced as the target's distribution, and a higher accuracy that means less: compare it with
the share of the largest class, and with the absolute error when each prediction stands for the mean
of its bin.
Command: python -m experiments.basics.quantile_labels --dataset california_housing --data-dir FOLDER
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from dl_jax import evaluation, plots
from dl_jax.data import Dataset, TableData, digitize, quantile_edges, uniform_edges
from dl_jax.errors import check_integer
from dl_jax.functional import cross_entropy
from dl_jax.learners import over_seeds, supervised
from dl_jax.models import mlp
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import data_figure, report_each
from dl_jax.runs import RunOptions, launch, open_run
from dl_jax.training import FitConfig, fit, predict

KINDS = {"quantile": quantile_edges, "uniform": uniform_edges}


@dataclass(frozen=True)
class Config:
    """Bins of a numeric target as classes."""

    bins: int = 10
    """Number of bins; their edges come from the training targets."""
    widths: tuple[int, ...] = (64, 64)
    """Units of each hidden layer."""
    dropout_rate: float = 0.1
    """Probability of dropping a hidden unit in training."""
    seeds: int = 5
    """Independent replicas of each kind, trained side by side in one compiled program."""
    data: TableData = TableData()
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=2e-3)
    fit: FitConfig = FitConfig(epochs=30, batch_size=32, monitor="loss")
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_integer("bins", self.bins, low=2, high=1000)


def with_bins(dataset: Dataset, edges: dict[str, np.ndarray]) -> Dataset:
    """The rows with the bin of their target, of each kind."""
    bins = {kind: digitize(dataset.arrays["target"], inner) for kind, inner in edges.items()}
    return replace(dataset, arrays={**dataset.arrays, **bins})


def measure(kind: str, logits: np.ndarray, data: dict[str, Dataset]) -> dict:
    """What logits `[replicas, examples, classes]` of the test set are worth."""
    train, test = data["train"].arrays, data["test"].arrays
    predictions, classes = logits.argmax(-1), logits.shape[-1]
    counts = np.bincount(train[kind], minlength=classes)
    means = np.bincount(train[kind], train["target"], classes) / np.maximum(counts, 1)
    return {
        "classes": classes,
        "accuracy": (predictions == test[kind]).mean(-1),
        "within_one_bin": (abs(predictions - test[kind]) <= 1).mean(-1),
        "largest_class": float((test[kind] == counts.argmax()).mean()),
        "absolute_error": abs(means[predictions] - test["target"]).mean(-1),
    }


def main(config: Config) -> None:
    """Train with both kinds of bins, compare and draw."""
    data = config.data.load()
    targets = data["train"].arrays["target"]
    edges = {kind: find(targets, config.bins) for kind, find in KINDS.items()}
    data = {split: with_bins(dataset, edges) for split, dataset in data.items()}
    train, test = data["train"], data["test"]
    optimizer = make_optimizer(config.optimizer, config.fit.updates(train))

    run, fitted, logits = open_run("quantile_labels", config, config.run), {}, {}
    for kind, inner in edges.items():
        print(f"-- {kind}", flush=True)
        network = {
            "input_shape": train.arrays["features"].shape[1:],
            "widths": config.widths,
            "num_classes": len(inner) + 1,
            "dropout_rate": config.dropout_rate,
        }
        model = mlp(**network)
        learner = supervised(model, cross_entropy, optimizer, inputs="features", targets=kind)
        part = run.part(kind)
        part.describe("mlp", network)
        fitted[kind] = fit(over_seeds(learner, config.seeds), data, config.fit, part)
        best = fitted[kind].best
        logits[kind] = predict(
            model, best.params, best.model_state, test, replicas=True, inputs="features"
        )

    names = [str(number + 1) for number in range(config.bins)]
    counts = {kind: np.bincount(train.arrays[kind]) for kind in KINDS}

    def confusion(kind):
        classes = len(edges[kind]) + 1
        first = logits[kind][0].argmax(-1)
        matrix = evaluation.confusion_matrix(test.arrays[kind], first, classes)
        return plots.confusion_matrix(matrix, names[:classes], title=f"{kind.capitalize()} bins")

    figures = {
        "data": data_figure(data, "target"),
        "class_balance": lambda: plots.grouped_bars(counts, names, x="bin", y="training examples"),
        **{f"confusion_{kind}": partial(confusion, kind) for kind in KINDS},
    }
    measured = {kind: measure(kind, each, data) for kind, each in logits.items()}
    report_each(run, fitted, measured, figures)


if __name__ == "__main__":
    launch(Config, main)
