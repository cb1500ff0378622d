"""IMDB reviews: the mean of embedded words and a dense layer, and an LSTM in the mean's place.

The mean knows which words there are, the LSTM in which order as well. It begins with the words as
the mean has learned them, and sees a part of each review at a time, or it would soon know them by
heart.
Source: the course, where the LSTM gains one point of accuracy.
Command: python -m experiments.sequence.imdb --seeds 3
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from sklearn.decomposition import PCA

from dl_jax import models, plots
from dl_jax.compilation import jit
from dl_jax.data import TextData, TextDataset
from dl_jax.errors import check_integer, check_range
from dl_jax.functional import cross_entropy
from dl_jax.learners import (
    augment_all,
    averaged,
    drop_words,
    over_seeds,
    part_of_text,
    supervised,
)
from dl_jax.models import occlusion
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import data_figure, report_each
from dl_jax.runs import Run, RunOptions, launch, open_run
from dl_jax.training import FitConfig, Fitted, fit, make_evaluate

BAG, LSTM = "mean embedding", "LSTM"
SHOWN = 4
"""Texts whose words are colored."""
CHOSEN = ("great", "terrible", "funny", "boring", "not", "actor", "war", "good", "bad", "dull")
"""Words whose neighbors are drawn, those of them that are in the vocabulary."""
NEIGHBORS = 6
MAPPED = 1500
"""Words that are drawn as points, the most frequent."""


@dataclass(frozen=True)
class Config:
    """Texts with and without the order of their words."""

    embedding_dim: int = 128
    """Features of a word, in both networks."""
    hidden_dim: int = 64
    """Units of each direction of the LSTM."""
    bidirectional: bool = True
    """Read from the end as well."""
    pooling: Literal["last", "mean", "max"] = "mean"
    """What the last layer sees of the LSTM's outputs: last, mean or max."""
    dropout_rate: float = 0.5
    """Probability of dropping a feature of a word, and one before the last layer, in training."""
    word_dropout_rate: float = 0.3
    """Probability of replacing a word by the unknown one, in training."""
    part: int = 100
    """Words of a review that the LSTM sees in training, from anywhere in it; 0 is all of them."""
    keep_words: bool = True
    """Let the LSTM begin with the words as the mean, its first replica, has learned them."""
    average: float = 0.998
    """Decay of a running average of the LSTM's parameters, which is evaluated; 0 disables."""
    seeds: int = 1
    """Independent replicas of each network, in one compiled program."""
    data: TextData = TextData("imdb_reviews", max_length=800)
    bag_optimizer: OptimizerConfig = OptimizerConfig(learning_rate=1e-3)
    bag: FitConfig = FitConfig(epochs=12, batch_size=64)
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=1e-3, schedule="cosine")
    fit: FitConfig = FitConfig(epochs=6, batch_size=64)
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_integer("embedding_dim", self.embedding_dim, low=1)
        check_integer("hidden_dim", self.hidden_dim, low=1)
        for name in ("dropout_rate", "word_dropout_rate"):
            check_range(name, getattr(self, name), low=0, high=1, exclusive_high=True)
        check_integer("part", self.part, low=0)
        check_range("average", self.average, low=0, high=1, exclusive_high=True)


class Trial(NamedTuple):
    """A network and how it is trained."""

    network: str
    arguments: dict[str, Any]
    optimizer: OptimizerConfig
    fit: FitConfig
    part: int = 0
    average: float = 0.0


def main(config: Config) -> None:
    """Train both networks, compare them and draw."""
    data = config.data.load()
    train = data["train"]
    sizes = {
        "vocab_size": train.tokenizer.size, "num_classes": train.num_classes,
        "embedding_dim": config.embedding_dim, "dropout_rate": config.dropout_rate,
    }  # fmt: skip
    cells = {
        "hidden_dim": config.hidden_dim,
        "pooling": config.pooling,
        "bidirectional": config.bidirectional,
    }
    trials = {
        BAG: Trial("mean_embedding_classifier", sizes, config.bag_optimizer, config.bag),
        LSTM: Trial(
            "lstm_classifier", {**sizes, **cells}, config.optimizer, config.fit, config.part,
            config.average,
        ),
    }  # fmt: skip
    forget = drop_words(config.word_dropout_rate, train.tokenizer.unknown)
    run = open_run("imdb", config, config.run)
    fitted, measured = {}, {}
    for name, trial in trials.items():
        part = run.part(name)
        part.describe(trial.network, trial.arguments, files=train.files)
        model = getattr(models, trial.network)(**trial.arguments)
        augments = (part_of_text(trial.part), forget) if trial.part else (forget,)
        learner = supervised(
            model, cross_entropy, make_optimizer(trial.optimizer, trial.fit.updates(train)),
            inputs="tokens", augment=augment_all(*augments),
        )  # fmt: skip
        learner = over_seeds(learner, config.seeds)
        learner = averaged(learner, trial.average) if trial.average else learner
        start = None
        if name == LSTM and config.keep_words:
            params, state = model.init(jax.random.key(config.fit.seed))
            start = {**params, "embedding": words_of(fitted[BAG])}, state
        fitted[name] = fit(learner, data, trial.fit, part, start=start)
        evaluate = make_evaluate(learner, trial.fit.evaluation_batch_size)
        measured[name] = evaluate(fitted[name].best, data["test"]).means()
    lstm = models.lstm_classifier(**trials[LSTM].arguments)
    evidence = decisive_words(lstm, fitted[LSTM], data["test"])
    write_page(run, evidence)
    gain = np.ravel(measured[LSTM]["accuracy"]) - np.ravel(measured[BAG]["accuracy"])
    figures = {
        "data": data_figure(data),
        "lengths": partial(draw_lengths, data),
        "words": lambda: plots.colored_words(evidence),
        "embedding": partial(draw_embedding, fitted[BAG], train),
    }
    extras = {"gain_of_the_lstm": gain.tolist()}
    report_each(run, fitted, measured, figures, extras=extras)


def words_of(fitted: Fitted) -> Any:
    """The embedding of the first replica."""
    return jax.tree.map(lambda leaf: leaf[0], fitted.weights[0]["embedding"])


def draw_lengths(data: dict[str, TextDataset]):
    """How long the texts are, as they are cut."""
    lengths = {s: np.asarray(d.arrays["length"][:], np.float32) for s, d in data.items()}
    return plots.target_histogram(lengths, x="tokens of a text")


def decisive_words(model: models.Model, fitted: Fitted, test: TextDataset) -> dict[str, Any]:
    """The first replica's reasons for what it says of some texts: rightly, then wrongly."""
    params, state = jax.tree.map(lambda leaf: leaf[0], fitted.weights)
    tokens, labels = (np.asarray(test.arrays[name][:400]) for name in ("tokens", "label"))
    logits, _ = jit(partial(model.apply, train=False))(params, state, tokens)
    said = np.asarray(logits).argmax(-1)
    right, wrong = (np.flatnonzero(kind)[: SHOWN // 2] for kind in (said == labels, said != labels))
    found = {}
    for index in (*right, *wrong):
        length = int(np.count_nonzero(tokens[index]))
        words = [test.tokenizer.decode([token]) for token in tokens[index][:length].tolist()]
        judged = "rightly" if index in right else "wrongly"
        heading = f"{test.classes[said[index]]}, {judged} (test text {index})"
        weights = occlusion(model, params, state, tokens[index], int(said[index]))
        found[heading] = words, weights[:length]
    return found


def write_page(run: Run, evidence: dict[str, Any]) -> None:
    """The colored texts as a page."""
    run.write_text(run.figures / "words.html", plots.colored_words_page(evidence))


def draw_embedding(fitted: Fitted, train: TextDataset):
    """The most frequent words by their first two principal components, colored by their say."""
    params = jax.tree.map(lambda leaf: np.asarray(leaf[0]), fitted.weights[0])
    tokens = range(1, min(1 + MAPPED, train.tokenizer.size - 1))  # the last one is unknown
    vectors = params["embedding"]["embedding"][np.array(tokens)]
    words = [train.tokenizer.decode([token]) for token in tokens]
    kernel = params["head"]["kernel"]
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    groups = {
        word: np.argsort(-directions @ directions[words.index(word)])[: 1 + NEIGHBORS].tolist()
        for word in CHOSEN
        if word in words
    }
    say = vectors @ (kernel[:, -1] - kernel[:, 0])
    return plots.word_map(PCA(2).fit_transform(vectors), words, groups, say)


if __name__ == "__main__":
    launch(Config, main)
