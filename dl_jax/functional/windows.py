"""Windows that slide over an image: pairs of sizes, padding, and what fits."""

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


def check_kernel_fits(
    size: Size, window: Size, pads: tuple[Size, Size], dilation: Size = (1, 1)
) -> None:
    """Raise unless the kernel of a convolution fits the padded image.

    Raises:
        ValueError: names the axis and both lengths.
    """
    for axis, name in enumerate(("height", "width")):
        reach, length = (window[axis] - 1) * dilation[axis] + 1, size[axis] + sum(pads[axis])
        if length < reach:
            raise ValueError(
                f"the kernel reaches over {reach} pixels of {name}, the padded image has {length}: "
                "use a smaller kernel or more padding"
            )


def pooled_size(size: Size, window: Size, stride: Size, pads: tuple[Size, Size]) -> Size:
    """Number of pooling windows, `((height, width) + padding - window) // stride + 1`.

    Raises:
        ValueError: no window fits the padded image, or one contains only padding.
    """
    height, width = (
        (size[axis] + sum(pads[axis]) - window[axis]) // stride[axis] + 1 for axis in (0, 1)
    )
    if min(height, width) < 1:
        raise ValueError(f"a window of {window} does not fit an image of {size}")
    for axis, outputs in enumerate((height, width)):
        before, last = pads[axis][0], (outputs - 1) * stride[axis]
        if before >= window[axis] or last >= before + size[axis]:
            raise ValueError(
                f"with padding {pads} a window of {window} at stride {stride} contains only "
                f"padding, no pixel of the image of {size}"
            )
    return height, width


def _integers(value: CountOrPair) -> tuple[int, ...]:
    """The integers of a sequence, a single one twice; empty where one is no integer."""
    try:
        return tuple(map(operator.index, value if isinstance(value, Sequence) else (value, value)))
    except TypeError:
        return ()
