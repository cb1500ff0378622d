"""A character language model: an LSTM that reads a text window by window and writes on.

The hidden state goes on from window to window, the gradient does not.
Source: the course; Karpathy (2015), "The unreasonable effectiveness of recurrent neural networks".
Command: python -m experiments.language.char_lm --dataset tiny_shakespeare
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import jax
import numpy as np

from dl_jax import plots
from dl_jax.data import Corpus, CorpusData
from dl_jax.decoding import Strategy, generate, greedy, sample
from dl_jax.errors import check_integer, check_range
from dl_jax.learners import TrainState, language_model, over_seeds
from dl_jax.models import Model, rnn_lm
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import report
from dl_jax.runs import Run, RunOptions, launch, open_run
from dl_jax.training import FitConfig, fit, make_evaluate

WRITTEN = 300
"""Tokens of each sample."""
DRAWN = 20
"""Tokens whose frequency is drawn."""
PROMPT = 40
"""Tokens of the validation text with which a sample begins."""


@dataclass(frozen=True)
class Config:
    """A recurrent language model."""

    model: Literal["rnn", "gru", "lstm"] = "lstm"
    """Cell of the network."""
    embedding_dim: int = 128
    """Features of a token."""
    hidden_dim: int = 512
    """Units of each layer."""
    num_layers: int = 1
    """Layers of cells."""
    dropout_rate: float = 0.2
    """Probability of dropping an input of a layer in training."""
    temperature: float = 0.8
    """Of the samples; lower is more certain."""
    seeds: int = 1
    """Independent replicas, trained side by side in one compiled program."""
    data: CorpusData = CorpusData("tiny_shakespeare")
    optimizer: OptimizerConfig = OptimizerConfig(
        learning_rate=2e-3, schedule="cosine", clip_norm=1.0
    )
    fit: FitConfig = FitConfig(epochs=10, batch_size=32, monitor="loss")
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_integer("embedding_dim", self.embedding_dim, low=1)
        check_integer("hidden_dim", self.hidden_dim, low=1)
        check_integer("num_layers", self.num_layers, low=1)
        check_range("dropout_rate", self.dropout_rate, low=0, high=1, exclusive_high=True)
        check_range("temperature", self.temperature, low=0, exclusive_low=True)


def main(config: Config) -> None:
    """Train, sample on the way, evaluate and draw."""
    data = config.data.load()
    train = data["train"]
    network = {
        "vocab_size": train.tokenizer.size, "cell": config.model,
        "embedding_dim": config.embedding_dim, "hidden_dim": config.hidden_dim,
        "num_layers": config.num_layers, "dropout_rate": config.dropout_rate,
    }  # fmt: skip
    model = rnn_lm(**network)
    optimizer = make_optimizer(config.optimizer, config.fit.updates(train))
    learner = language_model(model, optimizer, carry_on=config.fit.batch_size)
    learner = over_seeds(learner, config.seeds)

    run = open_run("char_lm", config, config.run)
    run.describe("rnn_lm", network, files=train.files)
    strategies = {
        "greedy": greedy,
        f"temperature {config.temperature:g}": sample(config.temperature),
    }
    written = partial(write_samples, run, model, data["validation"], strategies)
    fitted = fit(learner, data, config.fit, run, evaluate=written)
    evaluate = make_evaluate(learner, config.fit.evaluation_batch_size)
    measured = evaluate(fitted.best, data["test"]).means()
    extras = {
        "vocabulary": train.tokenizer.size,
        "validation": validation_of(evaluate, fitted, data),
    }
    figures = {"data": partial(draw_tokens, data)}
    report(run, fitted, measured, figures, headline="loss", extras=extras)


def draw_tokens(data: dict[str, Corpus]):
    """How often the most frequent tokens occur in each split."""
    count, known = min(DRAWN, data["train"].tokenizer.size - 1), data["train"].tokenizer
    shares = {}
    for split, corpus in data.items():
        tokens = np.asarray(corpus.arrays["tokens"])
        shares[f"{split} ({len(tokens):,})"] = np.bincount(tokens, minlength=1 + count)[
            1 : 1 + count
        ] / len(tokens)
    names = [repr(known.decode([token]))[1:-1] for token in range(1, 1 + count)]
    return plots.grouped_bars(shares, names, x="token", y="share of the text")


def validation_of(evaluate, fitted, data: dict[str, Corpus]) -> dict[str, list[float]]:
    """What was measured of the best parameters on the validation split."""
    means = evaluate(fitted.best, data["validation"]).means()
    return {name: np.ravel(values).tolist() for name, values in means.items()}


def write_samples(
    run: Run, model: Model, text: Corpus, strategies: dict[str, Strategy], state: TrainState
) -> dict[str, float]:
    """Write what the first replica writes into a file of `samples/`; measures nothing."""
    params = jax.tree.map(lambda leaf: leaf[0], state.params)
    prompt = np.asarray(text.arrays["tokens"][:PROMPT])
    begun = text.tokenizer.decode(prompt.tolist())
    step = int(np.ravel(state.step)[0])
    lines = [f"after {begun!r}"]
    for name, strategy in strategies.items():
        tokens = generate(
            model.stepper, params, prompt[None], WRITTEN, strategy=strategy, key=jax.random.key(0)
        )
        lines += ["", f"{name}:", text.tokenizer.decode(np.asarray(tokens[0]).tolist())]
    path = run.directory / "samples" / f"{step:06}.txt"
    if run.writes:
        with run.writing(path):
            path.parent.mkdir(exist_ok=True)
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {}


if __name__ == "__main__":
    launch(Config, main)
