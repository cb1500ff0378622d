"""Byte-pair encoding, by the library `tokenizers`."""

from collections.abc import Iterable
from typing import Any

from dl_jax.data.text.tokenizer import known_tokens
from dl_jax.errors import UsageError


class BytePairTokenizer:
    """Pieces of bytes that often follow each other, of any text; token 0 is padding.

    Args:
        text: the JSON of a `tokenizers.Tokenizer`.

    Raises:
        UsageError: the library is missing, or this is not such a text.
    """

    def __init__(self, text: str) -> None:
        try:
            self._tokenizer = _library().Tokenizer.from_str(text)
        except Exception as error:
            if isinstance(error, UsageError):
                raise
            raise UsageError(
                f"this is no tokenizer of byte pairs ({error}): copy it again, or fit it again"
            ) from error

    @property
    def size(self) -> int:
        """Number of different tokens, that of padding included."""
        return self._tokenizer.get_vocab_size() + 1

    @property
    def unknown(self) -> None:
        """There is none: any text is spelled in bytes."""
        return None

    def encode(self, text: str) -> list[int]:
        """The tokens of a text.

        Raises:
            UsageError: it has halves of characters (surrogates), which are no text in UTF-8.
        """
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"a text cannot be written in UTF-8 ({error}): mend it") from error
        return [token + 1 for token in self._tokenizer.encode(text).ids]

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of tokens; padding is left out.

        Raises:
            UsageError: a number is no token.
        """
        known = known_tokens(tokens, self.size)
        return self._tokenizer.decode([token - 1 for token in known if token])

    def described(self) -> dict[str, Any]:
        """What `tokenizer_of` makes the same tokenizer from, as JSON."""
        return {"kind": "byte_pairs", "tokenizer": self._tokenizer.to_str()}


def fit_byte_pairs(texts: Iterable[str], *, vocab_size: int, min_count: int) -> BytePairTokenizer:
    """The tokenizer whose pieces are those that occur most often in these texts.

    Raises:
        UsageError: the library is missing.
    """
    library = _library()
    tokenizer = library.Tokenizer(library.models.BPE())
    tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = library.decoders.ByteLevel()
    trainer = library.trainers.BpeTrainer(
        vocab_size=vocab_size - 1,
        min_frequency=min_count,
        initial_alphabet=sorted(library.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return BytePairTokenizer(tokenizer.to_str())


def _library() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise UsageError(
            "byte pairs need the library tokenizers: pip install -e '.[text]'"
        ) from error
    return tokenizers
