"""A trained language model goes on with a text, token by token.

A transformer remembers as many tokens as it was made for; where it has written so many, it goes on
from the second half of them.
Command: python -m experiments.language.generate --run runs/NAME --prompt "To be"
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from dl_jax.data import Tokenizer, read_tokenizer
from dl_jax.decoding import Strategy, greedy, sample, stream
from dl_jax.errors import UsageError, check_integer, check_range
from dl_jax.runs import launch, load_run
from dl_jax.runs.loading import Loaded

WRITERS = ("rnn_lm", "transformer_lm")


@dataclass(frozen=True)
class Config:
    """A text for a trained network to go on with."""

    run: Path
    """Folder of the run, or of the part of one that is the network."""
    prompt: str
    """How the text begins."""
    count: int = 500
    """Tokens to write, at most."""
    temperature: float = 0.8
    """Lower is more certain; 0 always takes the most likely token."""
    top_k: int | None = None
    """Draw from the so many most likely tokens alone."""
    top_p: float | None = None
    """Draw from the fewest tokens alone that together have this probability."""
    stop: str | None = None
    """End where the text that was written ends with this."""
    seed: int = 0
    """Of the draws."""
    replica: int | None = None
    """Which network, from 0, if the run trained several."""

    def __post_init__(self) -> None:
        check_integer("count", self.count, low=1)
        check_range("temperature", self.temperature, low=0)
        check_integer("seed", self.seed, low=0)
        self.strategy()

    def strategy(self) -> Strategy:
        """How tokens are chosen."""
        if not self.temperature:
            return greedy
        return sample(self.temperature, top_k=self.top_k, top_p=self.top_p)


def main(config: Config) -> None:
    """Load the network, and print what it writes as it writes it."""
    loaded = load_run(config.run, replica=config.replica)
    tokenizer = tokenizer_of_writer(loaded, config.run)
    prompt = prompt_tokens(config.prompt, tokenizer)
    longest = loaded.arguments.get("max_length")
    if longest is not None and len(prompt) >= longest:
        raise UsageError(
            f"the prompt has {len(prompt)} tokens, the network remembers {longest}, those it "
            "writes among them: shorten it"
        )
    tokens, shown = list(prompt), ""
    for token in written(config, loaded, prompt, unwritten(tokenizer)):
        tokens.append(token)
        text = tokenizer.decode(tokens)
        if text.endswith("�"):  # bytes of a character that is not whole yet
            continue
        print(text.removeprefix(shown), end="", flush=True)
        shown = text
        if config.stop and tokenizer.decode(tokens[len(prompt) :]).endswith(config.stop):
            break
    print()


def tokenizer_of_writer(loaded: Loaded, run: Path) -> Tokenizer:
    """The tokenizer of a run that is a language model.

    Raises:
        UsageError: it is another kind of run.
    """
    if loaded.name not in WRITERS or "tokenizer.json" not in loaded.files:
        raise UsageError(
            f"{run} holds a {loaded.name}, expected a language model of text, such as those of "
            "experiments.language.char_lm"
        )
    return read_tokenizer(loaded.files["tokenizer.json"])


def prompt_tokens(prompt: str, tokenizer: Tokenizer) -> list[int]:
    """The tokens of a prompt, all of which the network knows.

    Raises:
        UsageError: it has none, or one that is not in the vocabulary.
    """
    tokens = tokenizer.encode(prompt)
    if not tokens:
        raise UsageError(f"the prompt is {prompt!r}, expected at least one token: begin with text")
    if tokenizer.unknown in tokens:
        unknown = [each for each in prompt if tokenizer.unknown in tokenizer.encode(each)]
        raise UsageError(
            f"the prompt has {', '.join(map(repr, dict.fromkeys(unknown)))}, which the network's "
            "vocabulary lacks: leave it out"
        )
    return tokens


def unwritten(tokenizer: Tokenizer) -> list[int]:
    """Tokens that stand for nothing that could be written."""
    return [] if tokenizer.unknown is None else [tokenizer.unknown]


def written(config: Config, loaded: Loaded, prompt: list[int], never: list[int]) -> Iterator[int]:
    """Tokens behind the prompt, as many as were asked for."""
    assert loaded.model.stepper is not None
    longest = loaded.arguments.get("max_length")
    tokens, left, key = list(prompt), config.count, jax.random.key(config.seed)
    while left:
        remembered = tokens if len(tokens) == len(prompt) else tokens[-(longest or 0) // 2 :]
        room = left if longest is None else min(left, longest - len(remembered))
        key, own = jax.random.split(key)
        for token in stream(
            loaded.model.stepper, loaded.params, np.array([remembered]), room,
            strategy=config.strategy(), never=never, key=own,
        ):  # fmt: skip
            tokens.append(int(token[0]))
            yield tokens[-1]
        left -= room


if __name__ == "__main__":
    launch(Config, main)
