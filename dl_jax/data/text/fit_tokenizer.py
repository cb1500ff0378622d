"""Tokenizers of texts of all kinds: fitted, and made again from what they say of themselves."""

from collections import Counter
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TypeAlias

from dl_jax.data.described import read_described
from dl_jax.data.text.tokenizer import Tokenizer
from dl_jax.data.text.vocabulary import BYTES, PIECES, VocabularyTokenizer
from dl_jax.errors import UsageError, check_choice, check_integer

Kind: TypeAlias = Literal["characters", "words", "byte_pairs"]


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
        case {"kind": "music"}:
            raise UsageError(
                "this is a tokenizer of music, expected one of texts: read it with "
                "read_music_tokenizer"
            )
    raise UsageError(
        "this is no tokenizer, expected its kind and what it knows: copy the file again, or fit it "
        "again"
    )


def read_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of a file that holds its `tokenizer_json`.

    Raises:
        UsageError: the file is missing, cut short, or holds something else.
    """
    return read_described(path, tokenizer_of)
