"""Summaries: written by an encoder-decoder, or put together of sentences that an encoder scores.

Both are compared by ROUGE with the first sentences of the text, as many of them.
Source: the course; Lin (2004), "ROUGE: A Package for Automatic Evaluation of Summaries"; Liu and
Lapata (2019), arXiv:1908.08345, for the scores of sentences.
Command: python -m experiments.language.summarize
On a file of JSON lines: --dataset ./PATH, with --method extractive for long articles
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dl_jax import plots
from dl_jax.compilation import jit
from dl_jax.data import Dataset, ExtractiveDataset, PairData, PairDataset, lead, sentences
from dl_jax.decoding import beam_search
from dl_jax.errors import check_integer, check_range
from dl_jax.evaluation import rouge
from dl_jax.functional import binary_correct, binary_cross_entropy
from dl_jax.learners import (
    Learner,
    Metrics,
    Outcome,
    TrainState,
    from_objective,
    over_seeds,
    sequence_to_sequence,
)
from dl_jax.models import Model, transformer_encoder, transformer_seq2seq
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import report
from dl_jax.runs import Run, RunOptions, launch, open_run
from dl_jax.training import FitConfig, fit

BATCH = 50
"""Texts that are summarized at once."""
SHOWN = 4
"""Validation texts whose summaries are written down."""
Summarize = Callable[[Any, Any], list[str]]
"""`summarize(params, dataset)`: a summary of each text, by one network."""


@dataclass(frozen=True)
class Config:
    """Texts, their summaries, and a network."""

    method: Literal["abstractive", "extractive"] = "abstractive"
    """Write a summary, or choose sentences."""
    width: int = 128
    """Features of each token."""
    num_heads: int = 4
    """Heads of each attention."""
    num_layers: int = 2
    """Blocks of the encoder, and of the decoder."""
    dropout_rate: float = 0.1
    """Probability of dropping a feature in training."""
    beams: int = 4
    """Summaries among which the most likely is sought."""
    length_penalty: float = 0.6
    """More prefers longer summaries."""
    seeds: int = 1
    """Independent replicas, trained side by side in one compiled program."""
    data: PairData = PairData()
    optimizer: OptimizerConfig = OptimizerConfig(
        learning_rate=1e-3, schedule="cosine", warmup=0.1, weight_decay=0.01, clip_norm=1.0
    )
    fit: FitConfig = FitConfig(epochs=4, batch_size=32, evaluation_batch_size=100, monitor="loss")
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        for name in ("width", "num_heads", "num_layers", "beams"):
            check_integer(name, getattr(self, name), low=1)
        check_range("dropout_rate", self.dropout_rate, low=0, high=1, exclusive_high=True)
        check_range("length_penalty", self.length_penalty, low=0)


def main(config: Config) -> None:
    """Train, summarize on the way and at the end, compare and draw."""
    rouge(["a"], [["a"]])  # says at once if its library is missing
    data: Any = config.data.load() if config.method == "abstractive" else None
    data = config.data.load_extractive() if data is None else data
    train, test = data["train"], data["test"]
    name, arguments = network_of(config, train)
    optimizer = make_optimizer(config.optimizer, config.fit.updates(train))
    if config.method == "abstractive":
        model = transformer_seq2seq(**arguments)
        learner = sequence_to_sequence(model, optimizer)
        summarize = partial(write, config, model)
    else:
        model = transformer_encoder(**arguments)
        learner = scores_of_sentences(model, optimizer)
        share = sentences_in_summary(train)
        summarize = partial(choose, model, share)
    learner = over_seeds(learner, config.seeds)

    run = open_run("summarize", config, config.run)
    run.describe(name, arguments, files=train.files)
    shown = partial(write_samples, run, summarize, data["validation"])
    fitted = fit(learner, data, config.fit, run, evaluate=shown)
    params = fitted.weights[0]
    every = [
        summarize(jax.tree.map(lambda leaf, replica=replica: leaf[replica], params), test)
        for replica in range(config.seeds)
    ]
    found = [rouge(summaries, test.references) for summaries in every]
    exact = [
        np.mean([said in known for said, known in zip(summaries, test.references, strict=True)])
        for summaries in every
    ]
    measured = {kind: np.array([each[kind] for each in found]) for kind in found[0]}
    measured["exact"] = np.array(exact)
    counts = [len(sentences(summary)) for summary in every[0]]
    first = [lead(text, count) for text, count in zip(test.texts, counts, strict=True)]
    extras = {
        "lead": rouge(first, test.references),
        "words": {
            name: float(np.mean([len(text.split()) for text in texts]))
            for name, texts in {"lead": first, "network": every[0]}.items()
        },
        "sentences": float(np.mean(counts)),
    }
    heights = {
        "first sentences": np.array([extras["lead"][kind] for kind in found[0]]),
        config.method: np.array([measured[kind].mean() for kind in found[0]]),
    }
    figures = {
        "data": partial(draw_lengths, data),
        "rouge": lambda: plots.grouped_bars(heights, ["ROUGE-1", "ROUGE-2", "ROUGE-L"], x="",
                                            y="F1 in percent"),
    }  # fmt: skip
    if model.attention is not None and config.method == "abstractive":
        figures["attention"] = partial(draw_attention, model, params, test)
    report(run, fitted, measured, figures, headline="rouge1", extras=extras)


def network_of(config: Config, train: Any) -> tuple[str, dict[str, Any]]:
    """Name and arguments of the function that makes the network."""
    sizes = {
        "width": config.width, "num_heads": config.num_heads, "num_layers": config.num_layers,
        "dropout_rate": config.dropout_rate, "positions": "rotary",
    }  # fmt: skip
    if config.method == "abstractive":
        return "transformer_seq2seq", {
            "vocab_size": train.vocab_size, "max_source": config.data.max_source,
            "max_target": config.data.max_target + 1, **sizes,
        }  # fmt: skip
    return "transformer_encoder", {
        "vocab_size": train.tokenizer.size, "max_length": config.data.max_source, "outputs": 1,
        "per": "segment", "segments": config.data.max_sentences, **sizes,
    }  # fmt: skip


def scores_of_sentences(model: Model, optimizer: optax.GradientTransformation) -> Learner:
    """Whether each sentence is in the summary, by binary cross-entropy."""

    def objective(params, model_state, carry, batch, *, train, key):
        inputs = {"tokens": batch["source"], "segments": batch["sentence"]}
        logits, model_state = model.apply(
            params, model_state, inputs, train=train, key=key if train else None
        )
        labels = batch["label"].astype(logits.dtype)[..., None]
        there = jnp.arange(labels.shape[1])[None] < batch["sentences"][:, None]
        measured = {
            "loss": binary_cross_entropy(logits, labels).reshape(there.shape),
            "accuracy": binary_correct(logits, labels).reshape(there.shape),
        }
        return Outcome(Metrics.of(measured, batch.get("mask"), there), model_state, carry)

    return from_objective(model.init, objective, optimizer)


def write(config: Config, model: Model, params: Any, texts: PairDataset) -> list[str]:
    """The most likely summaries that beam search finds."""
    assert model.stepper is not None
    prompts, found = np.full((BATCH, 1), texts.begin), []
    for sources in batches(texts, "source"):
        beams = beam_search(
            model.stepper, params, prompts, texts.arrays["target"].shape[1] - 1,
            beams=config.beams, length_penalty=config.length_penalty, stop=(texts.end,),
            context=sources,
        )  # fmt: skip
        found += [texts.decode(each) for each in np.asarray(beams.tokens[:, 0]).tolist()]
    return found[: len(texts)]


def choose(model: Model, share: float, params: Any, texts: ExtractiveDataset) -> list[str]:
    """The sentences with the highest scores: `share` of those of a text, and at least one."""
    score, scores = jit(partial(model.apply, train=False)), []
    for source, sentence in zip(batches(texts, "source"), batches(texts, "sentence"), strict=True):
        logits, _ = score(params, {}, {"tokens": source, "segments": sentence})
        scores.append(np.asarray(logits)[..., 0])
    known = np.asarray(texts.arrays["sentences"])
    counts = np.maximum(1, np.round(share * known)).astype(int)
    every = np.concatenate(scores)
    return [texts.chosen(place, every[place], count) for place, count in enumerate(counts.tolist())]


def sentences_in_summary(train: ExtractiveDataset) -> float:
    """The share of the sentences of training texts that are in their summaries."""
    return float(train.arrays["label"][:].sum() / train.arrays["sentences"][:].sum())


def batches(texts: Dataset, name: str) -> list[np.ndarray]:
    """Rows of an array, the last batch filled up with the last of them."""
    rows = np.arange(-(-len(texts) // BATCH) * BATCH).clip(max=len(texts) - 1)
    return [np.asarray(texts.arrays[name][part]) for part in rows.reshape(-1, BATCH)]


def write_samples(
    run: Run, summarize: Summarize, texts: Any, state: TrainState
) -> dict[str, float]:
    """Write what the first replica makes of some texts into `samples/`; measures nothing."""
    few = texts.subset(np.arange(min(SHOWN, len(texts))))
    summaries = summarize(jax.tree.map(lambda leaf: leaf[0], state.params), few)
    lines = []
    for text, known, said in zip(few.texts, few.references, summaries, strict=True):
        lines += [text, f"reference: {known[0]}", f"network:   {said}", ""]
    run.write_text(run.sample(int(np.ravel(state.step)[0])), "\n".join(lines))
    return {}


def draw_lengths(data: dict[str, Any]):
    """How long the texts are, as they are cut."""
    lengths = {s: np.asarray(d.arrays["source_length"][:], np.float32) for s, d in data.items()}
    return plots.target_histogram(lengths, x="tokens of a text")


def draw_attention(model: Model, params: Any, texts: PairDataset):
    """What each word of the first summary is taken from, by the first replica."""
    assert model.attention is not None
    own = jax.tree.map(lambda leaf: leaf[0], params)
    source, target = (np.asarray(texts.arrays[name][:1]) for name in ("source", "target"))
    read = np.trim_zeros(source[0], "b").tolist()
    said = np.trim_zeros(target[0], "b").tolist()[1:-1]
    weights = jit(model.attention)(own, {"source": source, "target": target[:, :-1]})
    names = [[texts.tokenizer.decode([token]) for token in tokens] for tokens in (said, read)]
    return plots.attention_maps(np.asarray(weights)[:, 0, :, : len(said), : len(read)], *names)


if __name__ == "__main__":
    launch(Config, main)
