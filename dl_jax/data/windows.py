"""Windows of one long text, cut when a batch is made of them."""

from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import jax
import numpy as np
from numpy.typing import NDArray

from dl_jax.data.dataset import Dataset, LazyArray, LazyRows, Ordering, contiguous, rows
from dl_jax.data.order import Contiguous, Order
from dl_jax.errors import MAX_INTEGER, UsageError, check_integer
from dl_jax.types import Batch

W = TypeVar("W", bound="Windows")


@dataclass(frozen=True)
class Windows(Dataset):
    """A long text as windows of `window` tokens and the one that follows.

    A batch has `tokens` of shape `[*index.shape, window + 1]`: the inputs are `[..., :-1]`, the
    targets `[..., 1:]`. Window `i` begins at token `i * stride`. The text is never copied: windows
    are cut out of it where the batch is made, on the host or on the device. What is left behind the
    last whole window is not used.

    Attributes:
        arrays: `tokens`, integers `[length]`; others of that length, `[length, ...]`, are cut the
            same way.
        window: tokens that a model reads at once.
        stride: tokens from the beginning of one window to that of the next; `window` if None, so
            that each token is predicted once. A smaller one makes windows overlap.
        ordering: `contiguous`, so that state may be carried from window to window; or `shuffled`.

    Raises:
        UsageError: there are no tokens, they are not integers `[length]`, or too few for one
            window; or the order is contiguous and the stride is not the window.
    """

    window: int
    stride: int | None = None
    ordering: Ordering = field(default=contiguous, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if "tokens" not in self.arrays:
            raise UsageError(
                f"dataset {self.name!r} has {', '.join(sorted(self.arrays))}, expected an array "
                "'tokens' to cut windows from"
            )
        tokens = self.arrays["tokens"]
        if len(tokens.shape) != 1 or tokens.dtype.kind not in "iu":
            raise UsageError(
                f"the tokens of dataset {self.name!r} are {tokens.dtype}{list(tokens.shape)}, "
                "expected integers [length]"
            )
        check_integer("window", self.window, low=1)
        if self.stride is not None:
            check_integer("stride", self.stride, low=1)
        if len(tokens) <= self.window:
            raise UsageError(
                f"the {self.split} split of {self.name} has {len(tokens)} tokens, expected at "
                f"least {self.window + 1} (window + 1): take a shorter window or a longer text"
            )
        if self.ordering is contiguous:
            self._check_contiguous()

    @property
    def size(self) -> int:
        """Number of whole windows."""
        return (len(self.arrays["tokens"]) - self.window - 1) // self._stride + 1

    def order(self, batch_size: int, seed: int, streams: tuple[int, ...] = ()) -> Order:
        """The order in which training visits the windows, for each of a learner's streams.

        Raises:
            UsageError: a batch is larger than the number of windows; or the order is contiguous
                and the stride is not the window.
        """
        order = super().order(batch_size, seed, streams)
        if isinstance(order, Contiguous):
            self._check_contiguous()
        return order

    def gather(self, arrays: Batch, indices: Batch) -> dict[str, Any]:
        """The windows at `indices["index"]`, `[*index.shape, window + 1, ...]`, and `indices`.

        Raises:
            UsageError: arrays on the device are longer than an int32 counts.
        """
        tokens = arrays["tokens"]
        if isinstance(tokens, jax.Array) and len(tokens) > MAX_INTEGER:
            raise UsageError(
                f"the text has {len(tokens)} tokens, expected at most {MAX_INTEGER} on a device: "
                "stream it with dataset_on_device=never"
            )
        starts = indices["index"][..., None] * np.int64(self._stride)  # int32 on the device
        offsets = np.arange(self.window + 1).reshape(*[1] * (starts.ndim - 1), -1)
        places = starts + offsets  # [*index.shape, window + 1]
        return {**{name: rows(array, places) for name, array in arrays.items()}, **indices}

    def subset(self: W, indices: NDArray[np.integer], split: str | None = None) -> W:
        """The windows at consecutive `indices`, as the split `split` if one is given.

        Raises:
            UsageError: there are none, or they do not follow each other: they are no text then.
        """
        indices = np.asarray(indices)
        first, count = int(indices[0]) if indices.size else 0, indices.size
        if not count or not np.array_equal(indices, np.arange(first, first + count)):
            raise UsageError(
                f"a subset of the windows of {self.name!r} must be at least one window and those "
                "that follow it: split the text instead, before it is cut into windows"
            )
        start = first * self._stride
        stop = start + (count - 1) * self._stride + self.window + 1
        arrays = {name: _part(array, start, stop) for name, array in self.arrays.items()}
        return replace(self, split=split or self.split, arrays=arrays)

    @property
    def _stride(self) -> int:
        return self.window if self.stride is None else self.stride

    def _check_contiguous(self) -> None:
        if self._stride != self.window:
            raise UsageError(
                f"stride is {self.stride}, expected the window of {self.window} where windows are "
                "visited one after the other, since carried state would not continue: leave it "
                "out, or pass ordering=shuffled"
            )


def _part(array: NDArray | LazyArray, start: int, stop: int) -> NDArray | LazyArray:
    """Rows `start` to `stop - 1`, without reading them."""
    if isinstance(array, LazyArray):
        return LazyRows(array, np.arange(start, stop))
    return array[start:stop]
