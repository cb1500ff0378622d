"""What a tokenizer is: a text to numbers and back. 0 is padding, and never a token."""

from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

from dl_jax.errors import UsageError


@runtime_checkable
class Tokenizer(Protocol):
    """A text to tokens and back."""

    @property
    def size(self) -> int:
        """Number of different tokens, that of padding included: the `vocab_size` of a model."""
        ...

    @property
    def unknown(self) -> int | None:
        """The one token of all that is not in the vocabulary; None where all is spelled."""
        ...

    def encode(self, text: str) -> list[int]:
        """The tokens of a text, each from 1 to `size - 1`."""
        ...

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of tokens; padding is left out."""
        ...

    def described(self) -> dict[str, Any]:
        """What `tokenizer_of` makes the same tokenizer from, as JSON."""
        ...


def known_tokens(tokens: Iterable[int], size: int) -> list[int]:
    """The tokens, if a vocabulary of this size has them all.

    Raises:
        UsageError: names one that is none.
    """
    tokens = list(tokens)
    for token in tokens:
        if not 0 <= token < size:
            raise UsageError(
                f"{token} is no token, expected 0 to {size - 1}: these are tokens of another "
                "vocabulary"
            )
    return tokens
