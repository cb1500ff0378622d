"""Tunes in ABC notation, written by a trained run, and how many of them are music that can be read.

The run is a language model of characters that was trained on tunes: each begins with `X:`.
Source: the course; https://abcnotation.com for the notation, music21 for reading it.
Command: python -m experiments.language.tunes --run runs/NAME
Trained before by: python -m experiments.language.char_lm --dataset ./FOLDER --window 512
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dl_jax.decoding import generate, sample
from dl_jax.errors import UsageError, check_integer, check_range
from dl_jax.runs import launch, load_writer

BEGINNING = "X:"
"""How every tune begins."""


@dataclass(frozen=True)
class Config:
    """A run that writes tunes."""

    run: Path
    """Folder of the run."""
    count: int = 100
    """Tunes to write."""
    temperature: float = 0.7
    """Lower is more certain."""
    seed: int = 0
    """Of the draws."""
    replica: int | None = None
    """Which network, from 0, if the run trained several."""

    def __post_init__(self) -> None:
        check_integer("count", self.count, low=1)
        check_range("temperature", self.temperature, low=0, exclusive_low=True)
        check_integer("seed", self.seed, low=0)


def main(config: Config) -> None:
    """Write tunes, print the first that can be read, and how many can."""
    reader = music_reader()
    writer = load_writer(config.run, replica=config.replica)
    prompt = writer.prompt(BEGINNING)
    tokens = generate(
        writer.stepper, writer.params, np.tile(prompt, (config.count, 1)),
        (writer.longest or writer.window) - len(prompt), strategy=sample(config.temperature),
        never=writer.never, key=jax.random.key(config.seed),
    )  # fmt: skip
    written = map(writer.tokenizer.decode, np.asarray(tokens).tolist())
    tunes = [whole_tune(BEGINNING + text) for text in written]
    read = [tune for tune in tunes if can_be_read(reader, tune)]
    print(f"{read[0] if read else tunes[0]}\n")
    print(f"{len(read)} of {config.count} tunes can be read")


def whole_tune(text: str) -> str:
    """The first tune of a text: up to an empty line, or to the next tune."""
    tune = text.split("\n\n")[0]
    return (BEGINNING + tune.removeprefix(BEGINNING).split(f"\n{BEGINNING}")[0]).strip()


def can_be_read(reader: Any, tune: str) -> bool:
    """Whether music21 reads a tune, and finds notes in bars."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            score = reader.parse(tune, format="abc")
        except Exception:  # whatever a reader of broken music raises
            return False
    return len(score.flatten().notes) > 0 and len(score.recurse().getElementsByClass("Measure")) > 1


def music_reader() -> Any:
    """The library that reads tunes.

    Raises:
        UsageError: it is missing.
    """
    try:
        from music21 import converter  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UsageError(
            "reading tunes needs the library music21: pip install -e '.[music]'"
        ) from error
    return converter


if __name__ == "__main__":
    launch(Config, main)
