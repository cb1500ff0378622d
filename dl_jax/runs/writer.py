"""A trained language model with its vocabulary: what goes on with a text."""

import os
from typing import NamedTuple

from dl_jax.data import Tokenizer, read_tokenizer
from dl_jax.errors import UsageError
from dl_jax.models import Stepper
from dl_jax.runs.loading import load_run
from dl_jax.types import Params

WRITERS = ("rnn_lm", "transformer_lm")


class Writer(NamedTuple):
    """A network that writes text.

    Attributes:
        stepper: of the network.
        params: of the network.
        tokenizer: that made the tokens of its text.
        longest: tokens that it remembers, those it writes among them; None is no end.
        window: tokens that it read at once in training.
    """

    stepper: Stepper
    params: Params
    tokenizer: Tokenizer
    longest: int | None
    window: int

    @property
    def never(self) -> tuple[int, ...]:
        """Tokens that stand for nothing that could be written."""
        return () if self.tokenizer.unknown is None else (self.tokenizer.unknown,)

    def prompt(self, text: str) -> list[int]:
        """The tokens of a prompt, all of which the network knows and remembers.

        Raises:
            UsageError: it has none, or too many, or one that is not in the vocabulary.
        """
        tokens, unknown = self.tokenizer.encode(text), self.tokenizer.unknown
        if not tokens:
            raise UsageError(
                f"the prompt is {text!r}, expected at least one token: begin with text"
            )
        if unknown in tokens:
            pieces = text.split() if self.tokenizer.encode(" ") in ([], [unknown]) else text
            lacking = [each for each in pieces if unknown in self.tokenizer.encode(each)]
            raise UsageError(
                f"the prompt has {', '.join(map(repr, dict.fromkeys(lacking)))}, which the "
                "network's vocabulary lacks: leave it out"
            )
        if self.longest is not None and len(tokens) >= self.longest:
            raise UsageError(
                f"the prompt has {len(tokens)} tokens, the network remembers {self.longest}, those "
                "it writes among them: shorten it"
            )
        return tokens


def load_writer(directory: str | os.PathLike[str], *, replica: int | None = None) -> Writer:
    """The language model of a run, as `load_run` reads it.

    Raises:
        UsageError: as for `load_run`; or the run is of another kind.
        RunError: as for `load_run`.
    """
    loaded = load_run(directory, replica=replica)
    stepper, file = loaded.model.stepper, loaded.files.get("tokenizer.json")
    if loaded.name not in WRITERS or stepper is None or file is None:
        raise UsageError(
            f"{directory} holds a {loaded.name}, expected a language model of text, such as those "
            "of experiments.language.char_lm"
        )
    return Writer(
        stepper,
        loaded.params,
        read_tokenizer(file),
        loaded.arguments.get("max_length"),
        loaded.config["data"]["window"],
    )
