"""Tokenizers of characters and of words.

What a vocabulary lacks is spelled in bytes, so that decoding gives the text again, whatever it is;
or it becomes the one unknown token, where only the sense of known words matters.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from dl_jax.data.text.tokenizer import known_tokens
from dl_jax.errors import UsageError, check_choice

BYTES = 256
UNKNOWN = "<unknown>"
PIECES: dict[str, dict[bool, Callable[[str], list[str]]]] = {
    "characters": {True: list, False: list},
    "words": {
        # All of the text: a word or a mark with the space before it, or another space.
        True: re.compile(r" ?\w+| ?[^\w\s]|\s").findall,
        # Words, with what follows an apostrophe; tags such as <br />; other marks.
        False: lambda text: re.findall(r"\w+(?:'\w+)*|<\w+[^<>]*>|[^\w\s]", text.lower()),
    },
}
"""By kind and whether it is exact, how a text is cut."""


@dataclass(frozen=True)
class VocabularyTokenizer:
    """Characters, or words, each of which is a token if it is in the vocabulary.

    Attributes:
        kind: `characters` or `words`.
        vocabulary: pieces of text; the first is token 1.
        exact: spell what is not in the vocabulary in bytes, as 256 further tokens: decoding is
            exact. Otherwise it is the last token, unknown; and words are in lower case, without the
            spaces between them.

    Raises:
        UsageError: there is no such kind, or the vocabulary has a piece twice or an empty one.
    """

    kind: Literal["characters", "words"]
    vocabulary: tuple[str, ...]
    exact: bool = True

    def __post_init__(self) -> None:
        check_choice("a tokenizer's kind", self.kind, PIECES)
        for piece, count in Counter(self.vocabulary).items():
            if count > 1 or not piece:
                raise UsageError(
                    f"the vocabulary has the piece {piece!r} {count} times, expected each once and "
                    "none empty: fit it again"
                )

    @property
    def size(self) -> int:
        """Number of different tokens, that of padding included."""
        return 1 + len(self.vocabulary) + (BYTES if self.exact else 1)

    @property
    def unknown(self) -> int | None:
        """The one token of all that is not in the vocabulary; None where it is spelled in bytes."""
        return None if self.exact else self.size - 1

    def encode(self, text: str) -> list[int]:
        """The tokens of a text."""
        tokens: list[int] = []
        numbers = self._numbers
        for piece in self.pieces(text):
            number = numbers.get(piece)
            if number is None:
                tokens += self._spelled(piece)
            else:
                tokens.append(number)
        return tokens

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of tokens; bytes that are no text, as a network may write, are marked with �.

        Raises:
            UsageError: a number is no token.
        """
        known = len(self.vocabulary)
        parts = []
        for token in known_tokens(tokens, self.size):
            if 0 < token <= known:
                parts.append(_to_bytes(self.vocabulary[token - 1]))
            elif token:
                parts.append(bytes([token - known - 1]) if self.exact else _to_bytes(UNKNOWN))
        separator = b" " if self.kind == "words" and not self.exact else b""
        return _to_text(separator.join(parts))

    def pieces(self, text: str) -> list[str]:
        """A text in the pieces of which a vocabulary is made."""
        return PIECES[self.kind][self.exact](text)

    def described(self) -> dict[str, Any]:
        """What `tokenizer_of` makes the same tokenizer from, as JSON."""
        return {"kind": self.kind, "exact": self.exact, "vocabulary": list(self.vocabulary)}

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {piece: number for number, piece in enumerate(self.vocabulary, 1)}

    def _spelled(self, piece: str) -> list[int]:
        """The tokens of a piece that is not in the vocabulary."""
        first = len(self.vocabulary) + 1
        return [first + byte for byte in _to_bytes(piece)] if self.exact else [first]


def _to_bytes(text: str) -> bytes:
    """In UTF-8; halves of characters beyond its range, which JSON may hold, stay what they are."""
    return text.encode("utf-8", "surrogatepass")


def _to_text(stored: bytes) -> str:
    try:
        return stored.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return stored.decode("utf-8", "replace")
