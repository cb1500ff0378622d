"""How a window slides over an image: pairs, paddings and the size of what comes out."""

from collections.abc import Sequence
from typing import TypeAlias

Size: TypeAlias = tuple[int, int]
Padding: TypeAlias = str | int | Sequence[int | Sequence[int]]


def as_pair(name: str, value: int | Sequence[int]) -> Size:
    """`(value, value)` of a positive integer; a pair of them is itself.

    >>> as_pair("stride", 2)
    (2, 2)
    """
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or not all(isinstance(item, int) and item >= 1 for item in pair):
        raise ValueError(f"{name} is {value!r}, expected a positive integer or a pair of them")
    return pair


def resolve_padding(
    padding: Padding, size: Size, window: Size, stride: Size, dilation: Size = (1, 1)
) -> tuple[Size, Size]:
    """LazyRows and columns of padding `((top, bottom), (left, right))`.

    `"SAME"` gives `ceil(size / stride)` outputs, the odd pixel of padding at the end; `"VALID"`
    pads nothing; an integer pads every side; a pair pads height and width; a pair of pairs says
    each side.

    >>> resolve_padding("SAME", (5, 5), (2, 3), (1, 1))
    ((0, 1), (1, 1))
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
    sides = (padding, padding) if isinstance(padding, int) else tuple(padding)
    pairs = [(side, side) if isinstance(side, int) else tuple(side) for side in sides]
    if [len(pair) for pair in pairs] != [2, 2] or any(pad < 0 for pair in pairs for pad in pair):
        raise ValueError(
            f"padding is {padding!r}, expected 'SAME', 'VALID', a non-negative integer, "
            "a pair, or ((top, bottom), (left, right))"
        )
    return pairs[0], pairs[1]  # type: ignore[return-value]
