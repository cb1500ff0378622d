"""Music of four voices, note by note: an LSTM and a transformer, side by side.

Each writes the notes of a sixteenth step one after the other, from the top voice to the lowest. How
surprising whole test pieces are, in nats per step, is compared with two baselines: how often each
note occurs, and that notes repeat.
Source: the course; Boulanger-Lewandowski, Bengio and Vincent (2012), arXiv:1206.6392, for the task.
Command: python -m experiments.language.music
On a folder of MIDI files, or a JSON file of chorales: --dataset ./PATH
"""

import importlib.util
import shutil
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from numpy.typing import NDArray

from dl_jax import models, plots
from dl_jax.compilation import jit
from dl_jax.configuration import place_only
from dl_jax.data import Music, MusicData, contiguous, shuffled, write_midi
from dl_jax.decoding import generate, sample
from dl_jax.errors import UsageError, check_integer, check_range
from dl_jax.evaluation import fit_note_baselines, note_loss
from dl_jax.functional import cross_entropy
from dl_jax.learners import TrainState, language_model, over_seeds
from dl_jax.models import Model
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import report_each
from dl_jax.runs import Run, RunOptions, launch, open_run
from dl_jax.training import FitConfig, Fitted, fit

DRAWN = 24
"""Pitches whose frequency is drawn."""
ModelName = Literal["lstm", "transformer"]


@dataclass(frozen=True)
class Config:
    """Networks that write music."""

    models: tuple[ModelName, ...] = ("lstm", "transformer")
    """Networks to compare."""
    width: int = 128
    """Features of each layer of the transformer; the LSTM has twice as many units."""
    num_layers: int = 4
    """Blocks of the transformer."""
    dropout_rate: float = 0.2
    """Probability of dropping a feature of a layer in training."""
    temperature: float = 0.9
    """Of the samples; lower is more certain."""
    samples: int = 2
    """Pieces that each network writes at each evaluation."""
    render: Path | None = place_only(None)
    """SoundFont with which the last samples are made audible (needs the program fluidsynth)."""
    seeds: int = 1
    """Independent replicas of each network, in one compiled program."""
    data: MusicData = MusicData(transpose=5)
    optimizer: OptimizerConfig = OptimizerConfig(
        learning_rate=2e-3, schedule="cosine", warmup=0.05, weight_decay=0.1, clip_norm=1.0
    )
    fit: FitConfig = FitConfig(
        steps=3000, batch_size=16, evaluate_every=250, evaluation_batch_size=100, monitor="loss"
    )
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        if not self.models:
            raise UsageError("there are no models, expected at least one")
        for name in ("width", "num_layers", "samples"):
            check_integer(name, getattr(self, name), low=1)
        check_range("dropout_rate", self.dropout_rate, low=0, high=1, exclusive_high=True)
        check_range("temperature", self.temperature, low=0, exclusive_low=True)


def main(config: Config) -> None:
    """Train both, listen on the way, measure and draw."""
    if config.render is not None and (
        not config.render.is_file() or shutil.which("fluidsynth") is None
    ):
        raise UsageError(
            f"render is {str(config.render)!r}, expected a SoundFont file, and the program "
            "fluidsynth: install both, or leave it out"
        )
    run = open_run("music", config, config.run)
    fitted, measured, pieces = {}, {}, {}
    data: dict[str, Music] = {}
    for name in config.models:
        attends = name == "transformer"
        # A window begins with every fourth note; the LSTM reads on from window to window.
        data = config.data.load(shuffled, stride=4) if attends else config.data.load(contiguous)
        train = data["train"]
        network, arguments = network_of(config, name, train)
        model, part = getattr(models, network)(**arguments), run.part(name)
        part.describe(network, arguments, files=train.files)
        optimizer = make_optimizer(config.optimizer, config.fit.updates(train))
        carry_on = 0 if attends else config.fit.batch_size
        learner = over_seeds(language_model(model, optimizer, carry_on=carry_on), config.seeds)
        listened = partial(write_samples, part, model, train, config)
        fitted[name] = fit(learner, data, config.fit, part, evaluate=listened)
        measured[name] = {"loss": loss_per_step(model, fitted[name], data["test"])}
        pieces[name] = composed(model, fitted[name].weights[0], train, config)[0]
    train, test = (arrays_of(data[split]) for split in ("train", "test"))
    counted = fit_note_baselines(*as_written(*train, config), data["train"].tokenizer.ranges)
    extras = {"baselines": note_loss(counted, *test)._asdict()}
    heights = {
        **extras["baselines"], **{name: np.mean(each["loss"]) for name, each in measured.items()}
    }  # fmt: skip
    shown = {"test piece": whole_pieces(data["test"])[0], **pieces}
    length = config.data.window
    figures = {
        "data": partial(draw_pitches, data),
        "loss": lambda: plots.grouped_bars(
            {"loss": np.array([*heights.values()])}, [*heights], x="", y="nats per step"
        ),
        "pieces": lambda: plots.piano_roll({name: each[:length] for name, each in shown.items()}),
    }
    report_each(run, fitted, measured, figures, headline="loss", extras=extras)
    if config.render is not None:
        render(run, config.render)


def network_of(config: Config, name: ModelName, train: Music) -> tuple[str, dict[str, Any]]:
    """Name and arguments of the function that makes a network."""
    common = {"vocab_size": train.tokenizer.size, "dropout_rate": config.dropout_rate}
    if name == "lstm":
        return "rnn_lm", {
            **common, "cell": "lstm", "embedding_dim": config.width, "hidden_dim": 2 * config.width
        }  # fmt: skip
    return "transformer_lm", {
        **common, "max_length": train.window + 1, "width": config.width,
        "num_layers": config.num_layers,
    }  # fmt: skip


def arrays_of(music: Music) -> tuple[NDArray, NDArray]:
    """All tokens of a split, and where pieces begin."""
    return np.asarray(music.arrays["tokens"]), np.asarray(music.arrays["begins"])


def as_written(tokens: NDArray, begins: NDArray, config: Config) -> tuple[NDArray, NDArray]:
    """Of training pieces those that are not transposed, which are the first of them."""
    copies = 2 * config.data.transpose + 1
    starts = np.flatnonzero(begins)
    ends = [*starts, len(tokens)][-(-len(starts) // copies)]
    return tokens[:ends], begins[:ends]


def whole_pieces(music: Music) -> list[NDArray]:
    """The pieces of a split, as pitches."""
    tokens, begins = arrays_of(music)
    return [
        music.tokenizer.decode(each.tolist())
        for each in np.split(tokens, np.flatnonzero(begins)[1:])
    ]


def loss_per_step(model: Model, fitted: Fitted, music: Music) -> NDArray:
    """Negative log-likelihood of whole pieces, in nats per step, of each replica.

    A window of a piece overlaps the one before by half, and only what is new in it counts: each
    note is said after at least half a window, or the whole piece so far.
    """
    tokens, begins = arrays_of(music)
    seen = music.window // 2  # notes that a window has in common with the one before
    windows, counts = [], []
    for piece in np.split(tokens, np.flatnonzero(begins)[1:]):
        for start in range(0, max(1, len(piece) - 1 - seen), music.window - seen):
            window = np.zeros(music.window + 1, np.int32)
            part = piece[start : start + music.window + 1]
            window[: len(part)] = part
            new = np.arange(music.window) >= (seen if start else 0)
            windows.append(window)
            counts.append(new & (window[1:] != 0))
    windows, counts = np.stack(windows), np.stack(counts)

    @jit
    @partial(jax.vmap, in_axes=(0, 0, None))
    def losses(params, state, tokens):
        logits, _ = model.apply(params, state, tokens[:, :-1], train=False)
        return cross_entropy(logits, tokens[:, 1:])

    total, batch = 0.0, 64
    for start in range(0, len(windows), batch):
        given = windows[start : start + batch]
        filled = np.pad(given, ((0, batch - len(given)), (0, 0)))  # one program for all
        found = np.asarray(losses(*fitted.weights, filled))[:, : len(given)]
        total += np.where(counts[start : start + batch], found, 0).sum((1, 2), dtype=np.float64)
    return total / (counts.sum() / music.tokenizer.voices)


def composed(model: Model, params: Any, music: Music, config: Config) -> list[NDArray]:
    """Pieces of the first replica, as pitches."""
    assert model.stepper is not None
    own = jax.tree.map(lambda leaf: leaf[0], params)
    prompts = np.full((config.samples, 1), music.tokenizer.begin)
    tokens = generate(
        model.stepper, own, prompts, music.window, strategy=sample(config.temperature),
        never=(music.tokenizer.begin, *music.tokenizer.unknown), key=jax.random.key(0),
    )  # fmt: skip
    return [music.tokenizer.decode(each) for each in np.asarray(tokens).tolist()]


def write_samples(
    run: Run, model: Model, music: Music, config: Config, state: TrainState
) -> dict[str, float]:
    """Write pieces into `samples/`, as MIDI where its library is; measures nothing."""
    pieces = composed(model, state.params, music, config)
    if importlib.util.find_spec("pretty_midi") is None or not run.writes:
        return {}
    step = int(np.ravel(state.step)[0])
    for number, piece in enumerate(pieces):
        path = run.sample(step, f"-{number}.mid")
        if len(piece):
            with run.writing(path):
                write_midi(path, piece)
    return {}


def draw_pitches(data: dict[str, Music]):
    """How often the most frequent pitches occur in each split."""
    pitches = {split: np.concatenate(whole_pieces(each)).ravel() for split, each in data.items()}
    sung = {split: each[each >= 0] for split, each in pitches.items()}
    common = np.sort(np.bincount(sung["train"]).argsort()[::-1][:DRAWN])
    shares = {
        f"{split} ({len(each):,})": np.array([(each == pitch).mean() for pitch in common])
        for split, each in sung.items()
    }
    return plots.grouped_bars(shares, [str(pitch) for pitch in common], x="pitch (MIDI)",
                              y="share of the notes")  # fmt: skip


def render(run: Run, font: Path) -> None:
    """Make the last samples of each network audible."""
    written = sorted(run.directory.rglob("*.mid"))
    last = {path.parent: path.name.split("-")[0] for path in written}
    for path in (path for path in written if path.name.startswith(last[path.parent])):
        command = ["fluidsynth", "-ni", "-F", str(path.with_suffix(".wav")), str(font), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UsageError(f"fluidsynth cannot render {path}: {done.stderr.strip()}")


if __name__ == "__main__":
    launch(Config, main)
