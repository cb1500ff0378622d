"""Texts with their summaries from JSON lines: an object a line."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from dl_jax.errors import UsageError

TEXT = ("article", "dialogue")
"""Fields that hold a text: the first that there is."""
EXPECTED = "an object with 'article' or 'dialogue', and 'summary' (or 'summary1', 'summary2', ...)"


class Pair(NamedTuple):
    """A text and its summaries, of which there is at least one."""

    text: str
    summaries: tuple[str, ...]


def read_json_lines(path: Path) -> list[Pair]:
    """The pairs of a file; lines without anything are left out.

    Raises:
        UsageError: the file cannot be read, is not UTF-8 or is empty; or a line is no JSON, lacks a
            field, or has an empty one.
    """
    try:
        content = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"the pairs {path} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the pairs {path} are not in UTF-8 ({error.reason} at byte {error.start}): convert "
            "the file"
        ) from error
    # Not splitlines: a string in JSON may hold other ends of lines.
    lines = enumerate(content.split("\n"), 1)
    pairs = [_pair(line, f"line {number} of {path}") for number, line in lines if line.strip()]
    if not pairs:
        raise UsageError(f"the pairs {path} are empty, expected JSON lines, each {EXPECTED}")
    return pairs


def _pair(line: str, where: str) -> Pair:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is no JSON ({error}), expected {EXPECTED}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{where} is no object, expected {EXPECTED}")
    texts = [field for field in TEXT if field in found]
    summaries = _summary_fields(found)
    if not texts or not summaries:
        lacking = "'summary'" if texts else "'article' and no 'dialogue'"
        raise UsageError(f"{where} has no {lacking}, expected {EXPECTED}")
    text, *rest = (_text(found, field, where) for field in (texts[0], *summaries))
    return Pair(text, tuple(rest))


def _is_text(text: str) -> bool:
    """Whether all of it are characters: JSON may hold half of one."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _summary_fields(names: Iterable[str]) -> list[str]:
    """`summary`, `summary1`, `summary2` and so on, as many as there are, in this order."""
    numbered = {name: re.fullmatch(r"summary(\d*)", name) for name in names}
    return sorted(
        (name for name, found in numbered.items() if found),
        key=lambda name: (len(name), name),
    )


def _text(found: dict[str, Any], field: str, where: str) -> str:
    text = found[field]
    if not isinstance(text, str) or not text.strip() or not _is_text(text):
        raise UsageError(
            f"{where} has {str(text)[:20]!r} as {field!r}, expected a text, of whole characters: "
            "mend or remove the line"
        )
    return text
