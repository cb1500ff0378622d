"""A masked language model: hidden words from all the others, and what its features are worth.

It is compared with the most frequent word, and with the word that most often follows the one
before. Then a second task is learned from its features: by a linear probe, by fine-tuning, and by
the same network from nothing. The first replica is what is probed and fine-tuned.
Source: the course; Devlin et al. (2018), arXiv:1810.04805.
Command: python -m experiments.language.masked_lm --dataset imdb_reviews \
    --task.dataset glue/sst2 --task.whole-sentences
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from dl_jax import plots
from dl_jax.compilation import jit
from dl_jax.data import TextData, TextDataset, Tokenizer
from dl_jax.errors import UsageError, check_integer, check_range
from dl_jax.evaluation import fit_linear_probe
from dl_jax.functional import cross_entropy
from dl_jax.learners import (
    TrainState,
    Weights,
    hide_tokens,
    masked_language_model,
    over_seeds,
    supervised,
)
from dl_jax.models import transformer_encoder
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import data_figure, report_each
from dl_jax.runs import Run, RunOptions, launch, open_run
from dl_jax.training import FitConfig, fit, make_evaluate, predict

PRETRAINED, TUNED, SCRATCH = "masked language model", "fine-tuning", "from nothing"
SHOWN = 6
"""Texts that are filled in, and written down."""


@dataclass(frozen=True)
class Config:
    """Texts to learn words from, and a task."""

    width: int = 128
    """Features of each token."""
    num_heads: int = 4
    """Heads of each attention."""
    num_layers: int = 4
    """Number of blocks."""
    positions: Literal["learned", "sinusoidal", "rotary"] = "rotary"
    """How the network knows where a word is; rotary sees the distance of two words at once."""
    dropout_rate: float = 0.1
    """Probability of dropping a feature in training."""
    hidden: float = 0.15
    """Share of the words that are hidden."""
    seeds: int = 1
    """Independent replicas of each network, in one compiled program."""
    data: TextData = TextData("sentiment", vocab_size=10_000, max_length=128)
    optimizer: OptimizerConfig = OptimizerConfig(
        learning_rate=1e-3, schedule="cosine", warmup=0.1, weight_decay=0.01, clip_norm=1.0
    )
    fit: FitConfig = FitConfig(epochs=6, batch_size=64, evaluation_batch_size=250, monitor="loss")
    task: TextData = TextData("sentiment", max_length=64)
    """Labeled texts; their words are cut as those of the first."""
    task_optimizer: OptimizerConfig = OptimizerConfig(
        learning_rate=3e-4, schedule="cosine", warmup=0.1, weight_decay=0.01, clip_norm=1.0
    )
    task_fit: FitConfig = FitConfig(epochs=2, batch_size=64, evaluation_batch_size=250)
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        for name in ("width", "num_heads", "num_layers", "seeds"):
            check_integer(name, getattr(self, name), low=1)
        check_range("dropout_rate", self.dropout_rate, low=0, high=1, exclusive_high=True)
        check_range("hidden", self.hidden, low=0, high=1, exclusive_low=True, exclusive_high=True)


def main(config: Config) -> None:
    """Pretrain, compare, learn the task in each way, and draw."""
    if config.data.tokenizer != "words" or config.task.tokenizer != "words":
        raise UsageError("tokenizer is not words, expected words: these are hidden and shared")
    if config.task.max_length > config.data.max_length:
        raise UsageError(
            f"task.max_length is {config.task.max_length}, expected at most the "
            f"{config.data.max_length} of the first texts: the network has no further positions"
        )
    data = config.data.load()
    tokenizer = data["train"].tokenizer
    task = {split: in_words_of(tokenizer, each) for split, each in config.task.load().items()}
    network = {
        "vocab_size": tokenizer.size + 1, "max_length": config.data.max_length,
        "width": config.width, "num_heads": config.num_heads, "num_layers": config.num_layers,
        "dropout_rate": config.dropout_rate, "positions": config.positions,
    }  # fmt: skip
    run = open_run("masked_lm", config, config.run)
    fitted, measured = {}, {}

    part, model = run.part(PRETRAINED), transformer_encoder(**network)
    part.describe("transformer_encoder", network, files=data["train"].files)
    optimizer = make_optimizer(config.optimizer, config.fit.updates(data["train"]))
    mask = tokenizer.size
    hiding = {"rate": config.hidden, "spared": (tokenizer.unknown,)}
    learner = masked_language_model(model, optimizer, mask, **hiding)
    learner = over_seeds(learner, config.seeds)
    apply = jit(partial(model.apply, train=False))
    filled = partial(write_filled, part, apply, data["validation"], mask, hiding)
    fitted[PRETRAINED] = fit(learner, data, config.fit, part, evaluate=filled)
    evaluate = make_evaluate(learner, config.fit.evaluation_batch_size)
    measured[PRETRAINED] = evaluate(fitted[PRETRAINED].best, data["test"]).means()

    words = {**network, "outputs": task["train"].num_classes, "per": "text"}
    classifier = transformer_encoder(**words)
    fresh = classifier.init(jax.random.key(config.fit.seed))
    learned = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), fitted[PRETRAINED].weights[0])
    starts = {TUNED: ({**fresh[0], **learned}, fresh[1]), SCRATCH: None}
    optimizer = make_optimizer(config.task_optimizer, config.task_fit.updates(task["train"]))
    for name, start in starts.items():
        part = run.part(name)
        part.describe("transformer_encoder", words, files=task["train"].files)
        learner = supervised(classifier, cross_entropy, optimizer, inputs="tokens")
        learner = over_seeds(learner, config.seeds)
        fitted[name] = fit(learner, task, config.task_fit, part, start=start)
        evaluate = make_evaluate(learner, config.task_fit.evaluation_batch_size)
        measured[name] = evaluate(fitted[name].best, task["test"]).means()

    probes = {"pretrained": (learned, {}), "untrained": (fresh[0], {})}
    by_network = np.ravel(measured[PRETRAINED]["accuracy"]).tolist()
    extras: dict[str, Any] = {
        "words": {**baselines(data), "learned": by_network},
        "linear_probe": {name: probed(network, each, task) for name, each in probes.items()},
    }
    on_task = {
        **{f"linear probe,\n{name}": each for name, each in extras["linear_probe"].items()},
        **{name: np.ravel(measured[name]["accuracy"])[0] for name in starts},
    }
    figures = {
        "data": data_figure(data),
        "words": lambda: bars(
            {**extras["words"], "learned": by_network[0]},
            "hidden words that are found",
        ),
        "task": lambda: bars(on_task, "test accuracy of the task"),
    }
    report_each(run, fitted, measured, figures, extras=extras)


def bars(found: dict[str, float], y: str):
    """One bar for each."""
    heights = {"accuracy": np.array([float(value) for value in found.values()])}
    return plots.grouped_bars(heights, [*found], x="", y=y)


def in_words_of(tokenizer: Tokenizer, dataset: TextDataset) -> TextDataset:
    """The same texts in tokens of another vocabulary; a word that it lacks is unknown."""
    own, unknown = dataset.tokenizer, tokenizer.unknown
    table = np.zeros(own.size, np.int32)
    for token in range(1, own.size):
        table[token] = unknown if token == own.unknown else tokenizer.encode(own.decode([token]))[0]
    arrays = {**dataset.arrays, "tokens": table[np.asarray(dataset.arrays["tokens"])]}
    return replace(dataset, arrays=arrays, tokenizer=tokenizer)


def baselines(data: dict[str, TextDataset]) -> dict[str, float]:
    """The share of test words that is found without a network, from counts of training words.

    Unknown words are none: neither are they said, nor to be found.
    """
    train, test = (np.asarray(data[split].arrays["tokens"]) for split in ("train", "test"))
    size = data["train"].tokenizer.size
    said = (train > 0) & (train != data["train"].tokenizer.unknown)
    most = np.bincount(train[said], minlength=size).argmax()
    before, after = train[:, :-1][said[:, 1:]], train[:, 1:][said[:, 1:]]
    pairs, counts = np.unique(before.astype(np.int64) * size + after, return_counts=True)
    best = np.full(size, most)
    order = counts.argsort(kind="stable")  # the most frequent is written last
    best[pairs[order] // size] = pairs[order] % size
    guessed = np.concatenate([np.full((len(test), 1), most), best[test[:, :-1]]], axis=1)
    counted = (test > 0) & (test != data["train"].tokenizer.unknown)
    return {
        "unigram": float((test == most)[counted].mean()),
        "bigram": float((guessed == test)[counted].mean()),
    }


def probed(network: dict[str, Any], weights: Weights, task: dict[str, TextDataset]) -> float:
    """Test accuracy of a linear classifier of the mean features, chosen on nothing."""
    width = network["width"]
    model = transformer_encoder(**network, outputs=width, per="text")
    params = {**weights[0], "head": {"kernel": jnp.eye(width), "bias": jnp.zeros(width)}}
    read = {
        split: predict(model, params, {}, task[split], inputs="tokens")
        for split in ("train", "test")
    }
    labels = {split: np.asarray(task[split].arrays["label"]) for split in read}
    probe = fit_linear_probe(read["train"], labels["train"], task["train"].num_classes)
    return probe.accuracy(read["test"], labels["test"])


def write_filled(
    run: Run, apply: Any, texts: TextDataset, mask: int, hiding: dict[str, Any], state: TrainState
) -> dict[str, float]:
    """Write texts with what the first replica puts for hidden words; measures nothing."""
    params = jax.tree.map(lambda leaf: leaf[0], state.params)
    tokens = np.asarray(texts.arrays["tokens"][:SHOWN])
    keys = jax.random.split(jax.random.key(0), len(tokens))
    shown, chosen = hide_tokens(tokens, keys, mask, **hiding)
    logits, _ = apply(params, {}, shown)
    said = np.asarray(logits[..., 1:mask].argmax(-1)) + 1
    lines = []
    for text, hidden, put in zip(tokens, np.asarray(chosen), said, strict=True):
        words = []
        for token, is_hidden, found in zip(text, hidden, put, strict=True):
            if token:
                word = texts.tokenizer.decode([int(token)])
                put_word = texts.tokenizer.decode([int(found)])
                words.append(f"[{word}: {put_word}]" if is_hidden else word)
        lines.append(" ".join(words))
    run.write_text(run.sample(int(np.ravel(state.step)[0])), "\n\n".join(lines) + "\n")
    return {}


if __name__ == "__main__":
    launch(Config, main)
