"""Windows that slide over an image: pairs of sizes, and padding."""

import operator
from collections.abc import Sequence
from typing import TypeAlias

from dl_jax.types import Count

Size: TypeAlias = tuple[int, int]
CountOrPair: TypeAlias = Count | Sequence[Count]
Padding: TypeAlias = str | Count | Sequence[CountOrPair]


def as_pair(name: str, value: CountOrPair) -> Size:
    """`(value, value)` of a positive integer; a pair of them is itself.

    >>> as_pair("stride", 2)
    (2, 2)

    Raises:
        ValueError: `value` is neither.
    """
    pair = _integers(value)
    if len(pair) != 2 or min(pair) < 1:
        raise ValueError(f"{name} is {value!r}, expected a positive integer or a pair of them")
    return pair[0], pair[1]


def resolve_padding(
    padding: Padding, size: Size, window: Size, stride: Size, dilation: Size = (1, 1)
) -> tuple[Size, Size]:
    """Rows and columns of padding, `((top, bottom), (left, right))`.

    `"SAME"` gives `ceil(size / stride)` outputs, with an odd pixel of padding at the end; `"VALID"`
    means no padding; an integer pads every side; a pair pads height and width; a pair of pairs
    gives each side.

    >>> resolve_padding("SAME", (5, 5), (2, 3), (1, 1))
    ((0, 1), (1, 1))

    Raises:
        ValueError: `padding` is none of these.
    """
    if isinstance(padding, str):
        if padding == "VALID":
            return (0, 0), (0, 0)
        if padding != "SAME":
            raise ValueError(f"padding is {padding!r}, expected 'SAME', 'VALID' or integers")
        pads = []
        for axis in (0, 1):
            reach = (window[axis] - 1) * dilation[axis] + 1
            outputs = -(-size[axis] // stride[axis])
            total = max((outputs - 1) * stride[axis] + reach - size[axis], 0)
            pads.append((total // 2, total - total // 2))
        return pads[0], pads[1]
    sides = padding if isinstance(padding, Sequence) else (padding, padding)
    pairs = [_integers(side) for side in sides]
    if [len(pair) for pair in pairs] != [2, 2] or min(map(min, pairs)) < 0:
        raise ValueError(
            f"padding is {padding!r}, expected 'SAME', 'VALID', a non-negative integer, "
            "a pair, or ((top, bottom), (left, right))"
        )
    (top, bottom), (left, right) = pairs
    return (top, bottom), (left, right)


def _integers(value: CountOrPair) -> tuple[int, ...]:
    """The integers of a sequence, a single one twice; empty where one is no integer."""
    try:
        return tuple(map(operator.index, value if isinstance(value, Sequence) else (value, value)))
    except TypeError:
        return ()
