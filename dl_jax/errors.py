"""What a user did wrong and what went wrong in a run, each said in one sentence."""

import difflib
import operator
from collections.abc import Iterable, Sequence

MAX_INTEGER = 2**31 - 1
"""Largest number of steps, examples or units: what an int32 holds."""


class UsageError(Exception):
    """A request that cannot be carried out: the message says what, what was expected, what to do.

    A script that meets one prints the message and exits with code 2.
    """

    exit_code = 2


class RunError(RuntimeError):
    """A run that started and could not go on; a script prints the message and exits with code 1."""

    exit_code = 1


def nearest(name: str, options: Iterable[str]) -> str:
    """`"; did you mean 'x'?"` for the option closest to `name`, or `""` where none is close."""
    close = difflib.get_close_matches(name, list(options), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def check_choice(field: str, value: str, options: Iterable[str]) -> str:
    """`value` if it is one of `options`.

    Raises:
        UsageError: names the field, the value, the options and the nearest one.
    """
    options = sorted(options)
    if value not in options:
        listed = ", ".join(options)
        raise UsageError(f"{field} is {value!r}, expected one of {listed}{nearest(value, options)}")
    return value


def check_distinct(field: str, values: Sequence[object]) -> None:
    """Raise unless there are values, and none of them twice.

    Raises:
        UsageError: names the field and what is accepted.
    """
    if not values or len(set(values)) < len(values):
        found = ", ".join(map(str, values)) or "empty"
        raise UsageError(f"{field} is {found}, expected at least one, and each once")


def check_multiple(field: str, value: int, of: str, divisor: int) -> None:
    """Raise unless `divisor`, the value of the field `of`, divides `value`.

    Raises:
        UsageError: names both fields and values.
    """
    if value % divisor:
        raise UsageError(f"{field} is {value}, expected a multiple of {of}, {divisor}")


def check_range(
    field: str,
    value: float,
    *,
    low: float | None = None,
    high: float | None = None,
    exclusive_low: bool = False,
    exclusive_high: bool = False,
) -> None:
    """Raise unless `low <= value <= high` (NaN fails).

    Raises:
        UsageError: names the field, the value and the interval that is accepted.
    """
    above = low is None or (value > low if exclusive_low else value >= low)
    below = high is None or (value < high if exclusive_high else value <= high)
    if not (above and below):
        bounds = []
        if low is not None:
            bounds.append(f"{'greater than' if exclusive_low else 'at least'} {low}")
        if high is not None:
            bounds.append(f"{'less than' if exclusive_high else 'at most'} {high}")
        raise UsageError(f"{field} is {value}, expected {' and '.join(bounds)}")


def check_integer(
    field: str, value: int, *, low: int | None = None, high: int | None = MAX_INTEGER
) -> None:
    """Raise unless `value` is an integer with `low <= value <= high`.

    Raises:
        UsageError: names the field, the value and what is accepted.
    """
    try:
        operator.index(value)
    except TypeError as error:
        raise UsageError(f"{field} is {value!r}, expected an integer") from error
    check_range(field, value, low=low, high=high)
