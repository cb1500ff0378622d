"""Regression turned into classification: intervals of equal counts, or of equal widths.

A number is predicted as the interval that it lies in. Deciles give classes of one size; tenths of
the range give classes as unequal as the numbers are, and with them an accuracy that flatters: it
has to be read beside the share of the largest class, and beside the error in the numbers' own unit
that remains when each prediction is taken for the mean of its interval.
Command: python -m experiments.basics.quantile_labels --dataset california_housing --data-dir FOLDER
Known: deciles 0.4466 ± 0.0025 (largest class 0.10) and an error of 38,430, tenths of the range
0.5255 ± 0.0026 (largest class 0.19) and 37,850, over 5 seeds, 14 s on 2 cores of an AMD EPYC.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dl_jax import evaluation, plots
from dl_jax.data import (
    Dataset,
    digitize,
    load_table,
    quantile_edges,
    read_csv,
    table_splits,
    uniform_edges,
)
from dl_jax.errors import UsageError, check_range
from dl_jax.functional import cross_entropy
from dl_jax.learners import TrainState, flatten_replicas, over_seeds, supervised
from dl_jax.models import Model, mlp
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import format_mean_std, mean_and_std, save_figures, write_result
from dl_jax.runs import RunOptions, launch, open_run
from dl_jax.training import FitConfig, fit_each

KINDS = {"equal counts": quantile_edges, "equal widths": uniform_edges}


@dataclass(frozen=True)
class Config:
    """Intervals of a number as classes."""

    dataset: str = "diabetes"
    """`diabetes` (comes with the installation), `california_housing`, or the path of a CSV file,
    ending in `.csv`."""
    target: str | None = None
    """Column to predict; needed for a CSV file of your own."""
    bins: int = 10
    """Intervals that the training targets are cut into."""
    widths: tuple[int, ...] = (64, 64)
    """Units of each hidden layer."""
    dropout_rate: float = 0.1
    """Probability of dropping a hidden unit while training."""
    seeds: int = 5
    """Independent runs of each kind, side by side in one compiled program."""
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=2e-3)
    fit: FitConfig = FitConfig(epochs=30, batch_size=32, monitor="loss")
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_range("bins", self.bins, low=2)
        if self.dataset.lower().endswith(".csv") and self.target is None:
            raise UsageError("target is missing, expected the column of the CSV file to predict")


def judge(kind: str, model: Model, state: TrainState, data: dict[str, Dataset]):
    """Test metrics of all runs, and the first run's confusion matrix."""
    train, test = data["train"].arrays, data["test"].arrays
    labels = test[kind]
    params, model_state = flatten_replicas(state)
    logits = evaluation.predict(
        model, params, model_state, data["test"], runs=True, inputs="features"
    )  # [runs, examples, classes]
    predictions, classes = logits.argmax(-1), logits.shape[-1]

    counts = np.bincount(train[kind], minlength=classes)
    means = np.bincount(train[kind], train["target"], classes) / np.maximum(counts, 1)
    measured = {
        "classes": classes,
        "accuracy": mean_and_std(evaluation.accuracy(logits, labels)),
        "off_by_one_at_most": mean_and_std((abs(predictions - labels) <= 1).mean(-1)),
        "largest_class": float((labels == counts.argmax()).mean()),
        "absolute_error": mean_and_std(abs(means[predictions] - test["target"]).mean(-1)),
    }
    return measured, evaluation.confusion_matrix(labels, predictions[0], classes)


def main(config: Config) -> None:
    """Train with both kinds of classes, compare and draw."""
    if config.dataset.lower().endswith(".csv"):
        columns, target = read_csv(config.dataset), config.target
    else:
        columns, target = load_table(config.dataset, config.run.data_dir)
    data = table_splits(columns, config.target or target, Path(config.dataset).stem)
    values = {split: dataset.arrays["target"] for split, dataset in data.items()}
    edges = {kind: find(values["train"], config.bins) for kind, find in KINDS.items()}
    data = {
        split: replace(
            dataset,
            arrays={
                **dataset.arrays,
                **{kind: digitize(values[split], inner) for kind, inner in edges.items()},
            },
        )
        for split, dataset in data.items()
    }

    inputs = data["train"].arrays["features"].shape[1:]
    optimizer = make_optimizer(config.optimizer, config.fit.updates(len(data["train"])))
    models = {
        kind: mlp(inputs, config.widths, len(inner) + 1, dropout_rate=config.dropout_rate)
        for kind, inner in edges.items()
    }
    learners = {
        kind: over_seeds(
            supervised(model, cross_entropy, optimizer, inputs="features", targets=kind),
            config.seeds,
        )
        for kind, model in models.items()
    }
    run = open_run("quantile_labels", config, config.run)
    fitted = fit_each(learners, data, config.fit, run)

    summary, confusions = {}, {}
    for kind, model in models.items():
        summary[kind], confusions[kind] = judge(kind, model, fitted[kind].best, data)
    write_result(run, {"test": summary}, sum(each.seconds for each in fitted.values()))

    names = [str(number + 1) for number in range(config.bins)]
    figures = {
        f"confusion_{kind.replace(' ', '_')}": lambda kind=kind, matrix=matrix: (
            plots.confusion_matrix(matrix, names[: len(matrix)], title=f"Intervals of {kind}")
        )
        for kind, matrix in confusions.items()
    }
    counts = {kind: np.bincount(data["train"].arrays[kind]) for kind in KINDS}
    figures["class_balance"] = lambda: plots.grouped_bars(
        counts, names, x="interval", y="training examples"
    )
    save_figures(run, figures)
    for kind, row in summary.items():
        error = row["absolute_error"]
        decimals = max(0, 3 - math.ceil(math.log10(max(error["mean"], 1e-9))))
        accuracy = format_mean_std(row["accuracy"])
        print(f"{kind:13} {row['classes']} classes: accuracy {accuracy} (the "
              f"largest class alone {row['largest_class']:.4f}), off by one at most "
              f"{format_mean_std(row['off_by_one_at_most'])}, absolute error "
              f"{format_mean_std(error, f',.{decimals}f')}")  # fmt: skip
    print(f"figures and result.json in {run.directory}")


if __name__ == "__main__":
    launch(Config, main)
