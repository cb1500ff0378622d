"""A character language model: a transformer, or an LSTM, that reads a text and writes on.

The transformer reads windows from anywhere in the text. The LSTM reads the text from its beginning:
the hidden state goes on from window to window, the gradient does not.
Source: the course; Karpathy (2015), "The unreasonable effectiveness of recurrent neural networks",
and nanoGPT (2022), whose figures are 1.88 nats a character on a processor and 1.47 on a GPU.
Command: python -m experiments.language.char_lm --dataset tiny_shakespeare
On a GPU: python -m experiments.language.char_lm --dataset tiny_shakespeare --size base \
    --batch-size 64 --steps 5000 --dropout-rate 0.2 --compute-dtype bfloat16
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import numpy as np

from dl_jax import models, plots
from dl_jax.compilation import jit
from dl_jax.data import Corpus, CorpusData, contiguous, shuffled
from dl_jax.decoding import Strategy, generate, greedy, sample
from dl_jax.errors import check_integer, check_range
from dl_jax.functional import cross_entropy
from dl_jax.learners import TrainState, language_model, over_seeds
from dl_jax.models import Model, with_compute_dtype
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import report
from dl_jax.runs import Run, RunOptions, launch, open_run
from dl_jax.training import FitConfig, Fitted, fit, make_evaluate

SIZES: dict[str, dict[str, dict[str, Any]]] = {
    "transformer": {
        "small": {"width": 192, "num_heads": 6, "num_layers": 4},
        "base": {"width": 384, "num_heads": 6, "num_layers": 6},
    },
    "recurrent": {
        "small": {"embedding_dim": 128, "hidden_dim": 512, "num_layers": 1},
        "base": {"embedding_dim": 256, "hidden_dim": 1024, "num_layers": 2},
    },
}
WRITTEN = 300
"""Tokens of each sample, at most."""
DRAWN = 20
"""Tokens whose frequency is drawn."""
PROMPT = 40
"""Tokens of the validation text with which a sample begins, at most."""


@dataclass(frozen=True)
class Config:
    """A language model of characters."""

    model: Literal["transformer", "lstm", "gru", "rnn"] = "transformer"
    """Network."""
    size: Literal["small", "base"] = "small"
    """Sizes of the network: small is for two cores and half an hour, base for a GPU."""
    width: int | None = None
    """Features of each layer; that of the size where it is not given."""
    num_layers: int | None = None
    """Number of layers; that of the size where it is not given."""
    dropout_rate: float = 0.1
    """Probability of dropping a feature of a layer in training."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the network's activations and of its products."""
    temperature: float = 0.8
    """Of the samples; lower is more certain."""
    seeds: int = 1
    """Independent replicas, trained side by side in one compiled program."""
    data: CorpusData = CorpusData(window=256)
    optimizer: OptimizerConfig = OptimizerConfig(
        learning_rate=2e-3, schedule="cosine", warmup=0.05, weight_decay=0.1, clip_norm=1.0
    )
    fit: FitConfig = FitConfig(
        steps=3000, batch_size=16, evaluate_every=250, evaluation_batch_size=100, monitor="loss"
    )
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        for name in ("width", "num_layers"):
            if getattr(self, name) is not None:
                check_integer(name, getattr(self, name), low=1)
        check_range("dropout_rate", self.dropout_rate, low=0, high=1, exclusive_high=True)
        check_range("temperature", self.temperature, low=0, exclusive_low=True)


def main(config: Config) -> None:
    """Train, sample on the way, evaluate and draw."""
    attends = config.model == "transformer"
    # What carries state on reads in order. What does not reads windows that begin anywhere.
    data = config.data.load(shuffled, stride=1) if attends else config.data.load(contiguous)
    train = data["train"]
    network, arguments = network_of(config, train.tokenizer.size)
    model = with_compute_dtype(getattr(models, network)(**arguments), config.compute_dtype)
    optimizer = make_optimizer(config.optimizer, config.fit.updates(train))
    learner = language_model(model, optimizer, carry_on=0 if attends else config.fit.batch_size)
    learner = over_seeds(learner, config.seeds)

    run = open_run("char_lm", config, config.run)
    run.describe(network, arguments, files=train.files, compute_dtype=config.compute_dtype)
    strategies = {
        "greedy": greedy,
        f"temperature {config.temperature:g}": sample(config.temperature),
    }
    # A transformer remembers a window, an LSTM has no end.
    count = min(WRITTEN, config.data.window // 2) if attends else WRITTEN
    written = partial(write_samples, run, model, data["validation"], strategies, count)
    fitted = fit(learner, data, config.fit, run, evaluate=written)
    evaluate = make_evaluate(learner, config.fit.evaluation_batch_size)
    held_out = {split: evaluate(fitted.best, data[split]) for split in ("validation", "test")}
    extras = {
        "vocabulary": train.tokenizer.size,
        "validation": named(held_out["validation"].means()),
        # nanoGPT holds out the last tenth of the text, which is both.
        "validation_and_test": named(held_out["validation"].merge(held_out["test"]).means()),
    }
    figures = {
        "data": partial(draw_tokens, data),
        "loss_by_position": partial(draw_positions, model, fitted, data),
    }
    if attends:
        figures["attention"] = partial(draw_attention, model, fitted, data["validation"])
    report(run, fitted, held_out["test"].means(), figures, headline="loss", extras=extras)


def network_of(config: Config, vocab_size: int) -> tuple[str, dict[str, Any]]:
    """Name and arguments of the function that makes the network."""
    kind = "transformer" if config.model == "transformer" else "recurrent"
    arguments = {
        "vocab_size": vocab_size, "dropout_rate": config.dropout_rate,
        **SIZES[kind][config.size],
    }  # fmt: skip
    if config.num_layers is not None:
        arguments["num_layers"] = config.num_layers
    if kind == "transformer":
        if config.width is not None:
            arguments["width"] = config.width
        return "transformer_lm", {"max_length": config.data.window, **arguments}
    if config.width is not None:
        arguments["hidden_dim"] = config.width
    return "rnn_lm", {"cell": config.model, **arguments}


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


def named(means: Any) -> dict[str, list[float]]:
    """Means of each replica as plain numbers."""
    return {name: np.ravel(values).tolist() for name, values in means.items()}


def draw_positions(model: Model, fitted: Fitted, data: dict[str, Corpus]):
    """The loss at each position of a window: what a longer memory is worth."""
    params, state = fitted.weights

    @jit
    @partial(jax.vmap, in_axes=(0, 0, None))
    def losses(params, state, tokens):
        logits, _ = model.apply(params, state, tokens[:, :-1], train=False)
        return cross_entropy(logits, tokens[:, 1:]).mean(0)

    curves = {}
    for split in ("train", "validation"):
        windows = windows_of(data[split])
        at = 1 + np.arange(windows.shape[1] - 1)
        curves[split] = at, np.asarray(losses(params, state, windows))
    return plots.named_lines(
        curves, x="tokens that have been read", y="loss of the next one", log_x=True
    )


def windows_of(text: Corpus) -> np.ndarray:
    """Windows that do not overlap, spread over the text."""
    tokens, length = np.asarray(text.arrays["tokens"]), text.window + 1
    starts = np.linspace(0, len(tokens) - length, min(200, len(tokens) // length)).astype(int)
    return np.stack([tokens[start : start + length] for start in starts])


def draw_attention(model: Model, fitted: Fitted, text: Corpus):
    """To what each character of the beginning of the text attends, in the first replica."""
    assert model.attention is not None
    params = jax.tree.map(lambda leaf: leaf[0], fitted.weights[0])
    tokens = np.asarray(text.arrays["tokens"][: min(PROMPT, text.window // 2)])
    weights = jit(model.attention)(params, tokens[None])
    names = [repr(text.tokenizer.decode([token]))[1:-1] for token in tokens.tolist()]
    return plots.attention_maps(np.asarray(weights)[:, 0], names)


def write_samples(
    run: Run,
    model: Model,
    text: Corpus,
    strategies: dict[str, Strategy],
    count: int,
    state: TrainState,
) -> dict[str, float]:
    """Write what the first replica writes into a file of `samples/`; measures nothing."""
    params = jax.tree.map(lambda leaf: leaf[0], state.params)
    prompt = np.asarray(text.arrays["tokens"][: min(PROMPT, text.window // 2)])
    begun = text.tokenizer.decode(prompt.tolist())
    step = int(np.ravel(state.step)[0])
    lines = [f"after {begun!r}"]
    never = [] if text.tokenizer.unknown is None else [text.tokenizer.unknown]
    for name, strategy in strategies.items():
        tokens = generate(
            model.stepper, params, prompt[None], count,
            strategy=strategy, never=never, key=jax.random.key(0),
        )  # fmt: skip
        lines += ["", f"{name}:", text.tokenizer.decode(np.asarray(tokens[0]).tolist())]
    run.write_text(run.sample(step), "\n".join(lines) + "\n")
    return {}


if __name__ == "__main__":
    launch(Config, main)
