"""The lines of `metrics.jsonl`: one JSON object each, numbered, so that a lost one is noticed."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

NUMBER = "row"
"""Key under which a line holds its own number, from 0."""


class Rows(NamedTuple):
    """The rows of a file under their numbers, in order; a number may be missing."""

    by_number: dict[int, dict[str, Any]]

    @property
    def next_number(self) -> int:
        """The number of the row to be written next."""
        return max(self.by_number, default=-1) + 1

    @property
    def missing(self) -> int:
        """How many rows before the last are lost."""
        return self.next_number - len(self.by_number)

    def up_to(self, step: int) -> "Rows":
        """The rows of steps up to `step`."""
        return Rows({n: row for n, row in self.by_number.items() if row["step"] <= step})

    def text(self) -> str:
        """The lines that hold these rows."""
        return "".join(line(number, row) for number, row in self.by_number.items())


def read_rows(path: Path) -> Rows:
    """The rows of a file, without lines that are none: damaged, or cut short by a crash.

    Raises:
        OSError: the file cannot be read.
    """
    found = {}
    for position, text in enumerate(path.read_bytes().split(b"\n")):
        row = _row(text)
        if row is not None:
            found.setdefault(row.pop(NUMBER, position), row)
    return Rows(dict(sorted(found.items())))


def line(number: int, row: Mapping[str, Any]) -> str:
    """One line of the file."""
    return json.dumps({NUMBER: number, **row}) + "\n"


def plain_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as JSON has it: arrays as lists, what is not finite as null."""
    return {name: _plain(value) for name, value in row.items()}


def _row(text: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return None
    whole = (
        isinstance(row, dict)
        and _is_count(row.get(NUMBER, 0))
        and _is_count(row.get("step"))
        and isinstance(row.get("split"), str)
        and all(_is_number(row.get(name)) for name in ("epoch", "seconds"))
    )
    return row if whole else None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
