"""Tokenizers: a text to numbers and back. 0 is padding in all of them, and never a token.

What a vocabulary lacks is spelled in bytes, so that decoding gives the text again, whatever it is;
or it becomes the one unknown token, where only the sense of known words matters.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from dl_jax.errors import UsageError, check_choice, check_integer

Kind: TypeAlias = Literal["characters", "words", "byte_pairs"]
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


@runtime_checkable
class Tokenizer(Protocol):
    """A text to tokens and back."""

    @property
    def size(self) -> int:
        """Number of different tokens, that of padding included: the `vocab_size` of a model."""
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

    def encode(self, text: str) -> list[int]:
        """The tokens of a text."""
        return list(chain.from_iterable(map(self._tokens, self.pieces(text))))

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

    def _tokens(self, piece: str) -> tuple[int, ...]:
        number = self._numbers.get(piece)
        if number is not None:
            return (number,)
        first = len(self.vocabulary) + 1
        return tuple(first + byte for byte in _to_bytes(piece)) if self.exact else (first,)


def fit_tokenizer(
    kind: Kind,
    texts: Iterable[str],
    *,
    vocab_size: int = 20_000,
    min_count: int = 1,
    exact: bool = True,
) -> Tokenizer:
    """The tokenizer of a kind with the vocabulary of these texts: those of the training split.

    Args:
        kind: `characters`; `words`; or `byte_pairs`, for which the library `tokenizers` is needed.
        texts: to count pieces in.
        vocab_size: greatest number of different tokens, that of padding and those that stand for
            what is unknown included; the pieces that occur most often are kept, those that occur as
            often in alphabetical order.
        min_count: how often a piece must occur.
        exact: as for `VocabularyTokenizer`; byte pairs always are.

    Raises:
        UsageError: there is no such kind, a number is out of range, or a library is missing.

    Source: Sennrich et al. (2015), arXiv:1508.07909, for byte pairs.
    """
    check_choice("tokenizer", kind, [*PIECES, "byte_pairs"])
    check_integer("min_count", min_count, low=1)
    check_integer("vocab_size", vocab_size, low=3 + BYTES if exact or kind == "byte_pairs" else 3)
    if kind == "byte_pairs":
        from dl_jax.data.text.byte_pairs import fit_byte_pairs

        return fit_byte_pairs(texts, vocab_size=vocab_size, min_count=min_count)
    empty = VocabularyTokenizer(kind, (), exact)
    counts = Counter(chain.from_iterable(map(empty.pieces, texts)))
    kept = sorted((-count, piece) for piece, count in counts.items() if count >= min_count)
    return VocabularyTokenizer(
        kind, tuple(piece for _, piece in kept[: vocab_size - empty.size]), exact
    )


def tokenizer_of(described: Any) -> Tokenizer:
    """The tokenizer that gave this description.

    Raises:
        UsageError: it is none.
    """
    match described:
        case {"kind": "byte_pairs", "tokenizer": str(text)}:
            from dl_jax.data.text.byte_pairs import BytePairTokenizer

            return BytePairTokenizer(text)
        case {"kind": str(kind), "exact": bool(exact), "vocabulary": list(vocabulary)} if all(
            isinstance(piece, str) for piece in vocabulary
        ):
            return VocabularyTokenizer(kind, tuple(vocabulary), exact)  # pyright: ignore
    raise UsageError(
        "this is no tokenizer, expected its kind and what it knows: copy the file again, or fit it "
        "again"
    )


def read_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of a file that holds its `tokenizer_json`.

    Raises:
        UsageError: the file is missing, cut short, or holds something else.
    """
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"the tokenizer {path} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UsageError(
            f"the tokenizer {path} is no JSON, or cut short ({error}): copy it again, or fit it "
            "again"
        ) from error
    try:
        return tokenizer_of(described)
    except UsageError as error:
        raise UsageError(f"the tokenizer {path}: {error}") from error


def tokenizer_json(tokenizer: Tokenizer) -> str:
    """What a file holds that `read_tokenizer` reads."""
    return json.dumps(tokenizer.described(), indent=0) + "\n"


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


def _to_bytes(text: str) -> bytes:
    """In UTF-8; halves of characters beyond its range, which JSON may hold, stay what they are."""
    return text.encode("utf-8", "surrogatepass")


def _to_text(stored: bytes) -> str:
    try:
        return stored.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return stored.decode("utf-8", "replace")
