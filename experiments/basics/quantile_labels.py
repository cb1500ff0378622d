"""Regression as classification: the target is discretized into quantile or uniform bins.

Quantile bins (deciles by default) give balanced classes. Uniform bins, of equal width, give classes
as imbalanced as the target's distribution, and a higher accuracy that means less: compare it with
the share of the largest class, and with the absolute error when each prediction stands for the mean
of its bin.
Command: python -m experiments.basics.quantile_labels --dataset california_housing --data-dir FOLDER
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
from dl_jax.errors import UsageError, check_integer
from dl_jax.functional import cross_entropy
from dl_jax.learners import TrainState, flatten_replicas, over_seeds, supervised
from dl_jax.models import Model, mlp
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import (
    data_figure,
    format_mean_std,
    mean_and_std,
    save_figures,
    write_result,
)
from dl_jax.runs import RunOptions, launch, open_run
from dl_jax.training import FitConfig, fit_each, predict

KINDS = {"quantile": quantile_edges, "uniform": uniform_edges}


@dataclass(frozen=True)
class Config:
    """Bins of a numeric target as classes."""

    dataset: str = "diabetes"
    """`diabetes` (comes with the installation), `california_housing`, or the path of a CSV file,
    ending in `.csv`."""
    target: str | None = None
    """Column to predict; needed for a CSV file of your own."""
    bins: int = 10
    """Number of bins; their edges come from the training targets."""
    widths: tuple[int, ...] = (64, 64)
    """Units of each hidden layer."""
    dropout_rate: float = 0.1
    """Probability of dropping a hidden unit in training."""
    seeds: int = 5
    """Independent replicas of each kind, trained side by side in one compiled program."""
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=2e-3)
    fit: FitConfig = FitConfig(epochs=30, batch_size=32, monitor="loss")
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_integer("bins", self.bins, low=2, high=1000)
        if self.dataset.lower().endswith(".csv") and self.target is None:
            raise UsageError("target is missing, expected the column of the CSV file to predict")


def measure(kind: str, model: Model, state: TrainState, data: dict[str, Dataset]):
    """Test metrics of all replicas, and the confusion matrix of the first."""
    train, test = data["train"].arrays, data["test"].arrays
    labels = test[kind]
    params, model_state = flatten_replicas(state)
    logits = predict(
        model, params, model_state, data["test"], replicas=True, inputs="features"
    )  # [replicas, examples, classes]
    predictions, classes = logits.argmax(-1), logits.shape[-1]

    counts = np.bincount(train[kind], minlength=classes)
    means = np.bincount(train[kind], train["target"], classes) / np.maximum(counts, 1)
    measured = {
        "classes": classes,
        "accuracy": mean_and_std((predictions == labels).mean(-1)),
        "within_one_bin": mean_and_std((abs(predictions - labels) <= 1).mean(-1)),
        "largest_class": float((labels == counts.argmax()).mean()),
        "absolute_error": mean_and_std(abs(means[predictions] - test["target"]).mean(-1)),
    }
    return measured, evaluation.confusion_matrix(labels, predictions[0], classes)


def main(config: Config) -> None:
    """Train with both kinds of bins, compare and draw."""
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
        summary[kind], confusions[kind] = measure(kind, model, fitted[kind].best, data)
    write_result(run, {"test": summary}, sum(each.seconds for each in fitted.values()))

    names = [str(number + 1) for number in range(config.bins)]
    figures = {
        f"confusion_{kind}": lambda kind=kind, matrix=matrix: plots.confusion_matrix(
            matrix, names[: len(matrix)], title=f"{kind.capitalize()} bins"
        )
        for kind, matrix in confusions.items()
    }
    counts = {kind: np.bincount(data["train"].arrays[kind]) for kind in KINDS}
    figures["class_balance"] = lambda: plots.grouped_bars(
        counts, names, x="bin", y="training examples"
    )
    save_figures(run, {"data": data_figure(data, "target"), **figures})
    for kind, row in summary.items():
        error = row["absolute_error"]
        decimals = max(0, 3 - math.ceil(math.log10(max(error["mean"], 1e-9))))
        accuracy = format_mean_std(row["accuracy"])
        print(f"{kind:8} {row['classes']} classes: accuracy {accuracy} (largest class "
              f"{row['largest_class']:.4f}), within one bin "
              f"{format_mean_std(row['within_one_bin'])}, absolute error "
              f"{format_mean_std(error, f',.{decimals}f')}")  # fmt: skip
    print(f"figures and result.json in {run.directory}")


if __name__ == "__main__":
    launch(Config, main)
