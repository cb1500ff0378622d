"""What a trained network says of a text, word by word.

For each word: how probable each class is after reading so far, and what the word says for the class
that is predicted in the end: how much its log-probability falls without the word.
Command: python -m experiments.sequence.predict --run runs/imdb/lstm --text "Not bad at all."
"""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dl_jax import plots
from dl_jax.compilation import jit
from dl_jax.data import Tokenizer, read_tokenizer
from dl_jax.errors import UsageError
from dl_jax.models import occlusion
from dl_jax.runs import launch, load_run
from dl_jax.runs.loading import Loaded


@dataclass(frozen=True)
class Config:
    """A text for a trained network."""

    run: Path
    """Folder of the run, or of the part of one that is the network, such as runs/imdb/lstm."""
    text: str
    """What to read."""
    replica: int | None = None
    """Which network, from 0, if the run trained several."""


def main(config: Config) -> None:
    """Load the network, read the text and print a line for each word."""
    loaded = load_run(config.run, replica=config.replica)
    tokenizer, classes = vocabulary_of(loaded, config.run)
    tokens = np.array(tokenizer.encode(config.text), np.int32)
    longest = loaded.config["data"]["max_length"]
    if not len(tokens):
        raise UsageError(f"the text is {config.text!r}, expected at least one word")
    if len(tokens) > longest:
        raise UsageError(
            f"the text has {len(tokens)} words and marks, the network has been trained on at most "
            f"{longest}: shorten it"
        )
    prefixes = np.tril(np.tile(tokens, (len(tokens), 1)))
    apply = jit(partial(loaded.model.apply, train=False))
    logits, _ = apply(loaded.params, loaded.model_state, prefixes)
    probabilities = np.asarray(jax.nn.softmax(logits, axis=-1))
    label = int(probabilities[-1].argmax())
    weights = occlusion(loaded.model, loaded.params, loaded.model_state, tokens, label)
    words = [tokenizer.decode([token]) for token in tokens.tolist()]
    Console().print(table_of(words, probabilities, weights, classes))
    print(f"{classes[label]}, with probability {probabilities[-1, label]:.3f}")


def vocabulary_of(loaded: Loaded, run: Path) -> tuple[Tokenizer, list[str]]:
    """The tokenizer and the names of the classes that the run kept."""
    if not {"tokenizer.json", "classes.json"} <= set(loaded.files):
        raise UsageError(f"{run} has no tokenizer: expected a run that classifies texts")
    tokenizer = read_tokenizer(loaded.files["tokenizer.json"])
    known = len(loaded.params["embedding"]["embedding"])
    if tokenizer.size != known:
        raise UsageError(
            f"the tokenizer of {run} has {tokenizer.size} tokens and its network {known}: they "
            "belong to different runs"
        )
    return tokenizer, json.loads(loaded.files["classes.json"].read_text(encoding="utf-8"))


def table_of(
    words: list[str], probabilities: np.ndarray, weights: np.ndarray, classes: list[str]
) -> Table:
    """One line for each word, which is colored by what it says."""
    table = Table(box=None)
    table.add_column("word")
    for name in classes:
        table.add_column(f"{name} so far", justify="right")
    table.add_column("says", justify="right")
    colors = (255 * plots.word_colors(weights)).astype(int)
    for word, each, weight, (red, green, blue) in zip(
        words, probabilities, weights, colors, strict=True
    ):
        shown = Text(word, style=f"black on rgb({red},{green},{blue})")
        table.add_row(shown, *(f"{p:.3f}" for p in each), f"{weight:+.3f}")
    return table


if __name__ == "__main__":
    launch(Config, main)
