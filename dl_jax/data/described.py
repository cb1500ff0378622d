"""Tokenizers as files: of texts and of music alike, whatever can be described as JSON."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from dl_jax.errors import UsageError

T = TypeVar("T")


@runtime_checkable
class Described(Protocol):
    """What can be made again from what it says of itself."""

    def described(self) -> dict[str, Any]:
        """Its `kind`, and what it knows, as JSON."""
        ...


def tokenizer_json(tokenizer: Described) -> str:
    """What a file holds that `read_tokenizer` and `read_music_tokenizer` read."""
    return json.dumps(tokenizer.described(), indent=0) + "\n"


def read_described(path: Path, make: Callable[[Any], T]) -> T:
    """The tokenizer of a file that holds its `tokenizer_json`.

    Args:
        path: of the file.
        make: the tokenizer of its description; raises `UsageError` where it is none.

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
        return make(described)
    except UsageError as error:
        raise UsageError(f"the tokenizer {path}: {error}") from error
