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

from dl_jax.decoding import Strategy, greedy, sample, stream
from dl_jax.errors import check_integer, check_range
from dl_jax.runs import Writer, launch, load_writer


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
    writer = load_writer(config.run, replica=config.replica)
    prompt = writer.prompt(config.prompt)
    tokens, shown = list(prompt), ""
    for token in written(config, writer, prompt):
        tokens.append(token)
        text = writer.tokenizer.decode(tokens)
        if text.endswith("�"):  # bytes of a character that is not whole yet
            continue
        print(text.removeprefix(shown), end="", flush=True)
        shown = text
        if config.stop and writer.tokenizer.decode(tokens[len(prompt) :]).endswith(config.stop):
            break
    print()


def written(config: Config, writer: Writer, prompt: list[int]) -> Iterator[int]:
    """Tokens behind the prompt, as many as were asked for."""
    tokens, left, key = list(prompt), config.count, jax.random.key(config.seed)
    while left:
        remembered, room = tokens, left
        if writer.longest is not None:
            remembered = tokens if len(tokens) == len(prompt) else tokens[-writer.longest // 2 :]
            room = min(left, writer.longest - len(remembered))
        key, own = jax.random.split(key)
        for token in stream(
            writer.stepper, writer.params, np.array([remembered]), room,
            strategy=config.strategy(), never=writer.never, key=own,
        ):  # fmt: skip
            tokens.append(int(token[0]))
            yield tokens[-1]
        left -= room


if __name__ == "__main__":
    launch(Config, main)
