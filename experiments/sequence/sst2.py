"""SST-2 with truncated backpropagation through time: what cells learn from short windows.

Each cell is trained with the gradient going back through a few words only, and through all of them.
Choosing is on sentences of the training split that were held out with all their phrases; reported
is on GLUE's validation split, whose test labels are withheld.
Source: the course; Flax's example reaches 0.852, chosen on that same validation split.
Command: python -m experiments.sequence.sst2 --seeds 3
"""

from dataclasses import dataclass
from typing import Literal

import jax
import numpy as np
import optax

from dl_jax import plots
from dl_jax.compilation import jit
from dl_jax.data import TextData, TextDataset
from dl_jax.errors import UsageError, check_integer, check_range
from dl_jax.functional import cross_entropy
from dl_jax.learners import averaged, drop_words, over_seeds, supervised
from dl_jax.models import Model, recurrent_classifier
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import data_figure, report_each
from dl_jax.runs import RunOptions, launch, open_run
from dl_jax.training import FitConfig, Fitted, fit, make_evaluate

PROBED = 64
"""Validation texts on which the norm of the gradient is measured, where training has ended."""


@dataclass(frozen=True)
class Config:
    """Sentences, and windows of the gradient."""

    cells: tuple[Literal["rnn", "gru", "lstm", "reset_rnn"], ...] = ("rnn", "gru", "lstm")
    """Cells to compare."""
    windows: tuple[int, ...] = (1, 4, 16, 0)
    """Words through which the gradient goes back, at most; 0 is all of them."""
    embedding_dim: int = 128
    """Features of a word."""
    hidden_dim: int = 128
    """Units of each direction."""
    bidirectional: bool = True
    """Read from the end as well."""
    pooling: Literal["last", "mean", "max"] = "max"
    """What the last layer sees of the outputs."""
    dropout_rate: float = 0.5
    """Probability of dropping a feature of a word, and one before the last layer, in training."""
    word_dropout_rate: float = 0.0
    """Probability of replacing a word by the unknown one, in training."""
    average: float = 0.0
    """Decay of a running average of the parameters, which is evaluated; 0 disables."""
    seeds: int = 1
    """Independent replicas of each, in one compiled program."""
    data: TextData = TextData("glue/sst2", max_length=64, whole_sentences=True)
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=1e-3, schedule="cosine")
    fit: FitConfig = FitConfig(epochs=4, batch_size=64)
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        if not self.cells or not self.windows:
            raise UsageError("there are no cells or no windows, expected at least one of each")
        check_integer("windows", min(self.windows), low=0)
        check_integer("embedding_dim", self.embedding_dim, low=1)
        check_integer("hidden_dim", self.hidden_dim, low=1)
        for name in ("dropout_rate", "word_dropout_rate", "average"):
            check_range(name, getattr(self, name), low=0, high=1, exclusive_high=True)


def main(config: Config) -> None:
    """Train each cell with each window, compare and draw."""
    data = config.data.load()
    train = data["train"]
    forget = drop_words(config.word_dropout_rate, train.tokenizer.unknown)
    run = open_run("sst2", config, config.run)
    fitted, measured, norms = {}, {}, {}
    for cell in config.cells:
        for window in config.windows:
            name = f"{cell}, {window or 'all'}"
            network = {
                "cell": cell, "vocab_size": train.tokenizer.size,
                "num_classes": train.num_classes, "embedding_dim": config.embedding_dim,
                "hidden_dim": config.hidden_dim, "bidirectional": config.bidirectional,
                "pooling": config.pooling, "dropout_rate": config.dropout_rate,
                "truncate": window or None,
            }  # fmt: skip
            part, model = run.part(name), recurrent_classifier(**network)
            part.describe("recurrent_classifier", network, files=train.files)
            optimizer = make_optimizer(config.optimizer, config.fit.updates(train))
            learner = supervised(model, cross_entropy, optimizer, inputs="tokens", augment=forget)
            learner = over_seeds(learner, config.seeds)
            learner = averaged(learner, config.average) if config.average else learner
            fitted[name] = fit(learner, data, config.fit, part)
            evaluate = make_evaluate(learner, config.fit.evaluation_batch_size)
            measured[name] = evaluate(fitted[name].best, data["test"]).means()
            norms[name] = gradient_norms(model, fitted[name], data["validation"])
    accuracies = {name: np.ravel(found["accuracy"]) for name, found in measured.items()}
    x = "words through which the gradient goes back"
    figures = {
        "data": data_figure(data),
        "accuracy": lambda: plots.named_lines(
            against_window(config, accuracies), x=x, y="test accuracy", log_x=True
        ),
        "gradient_norm": lambda: plots.named_lines(
            against_window(config, norms), x=x, y="norm of the gradient", log_x=True, log_scale=True
        ),
    }
    extras = {"gradient_norm": {name: norm.tolist() for name, norm in norms.items()}}
    source = "0.852 (Flax, chosen on this split)"
    report_each(run, fitted, measured, figures, source=source, extras=extras)


def against_window(config: Config, found: dict[str, np.ndarray]):
    """Of each cell a curve for each replica: what was found against the window."""
    places = np.array([window or config.data.max_length for window in config.windows])
    return {
        cell: (
            places,
            np.stack([found[f"{cell}, {window or 'all'}"] for window in config.windows], axis=-1),
        )
        for cell in config.cells
    }


def gradient_norms(model: Model, fitted: Fitted, validation: TextDataset) -> np.ndarray:
    """The norm of the loss's gradient at the reported parameters, as it is truncated, `[seeds]`."""
    tokens, labels = (np.asarray(validation.arrays[k][:PROBED]) for k in ("tokens", "label"))

    def norm(params):
        def loss(params):
            logits, _ = model.apply(params, {}, tokens, train=False)
            return cross_entropy(logits, labels).mean()

        return optax.tree.norm(jax.grad(loss)(params))

    return np.asarray(jit(jax.vmap(norm))(fitted.weights[0]))


if __name__ == "__main__":
    launch(Config, main)
