"""A dataset: named arrays of examples."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dl_jax.errors import UsageError, check_integer

RESIDENT_BYTES = 2**30
"""Datasets up to this size are held on the device; larger ones are streamed."""


D = TypeVar("D", bound="Dataset")


class LazyRows:
    """Selected rows of a memory-mapped array, read from disk when they are indexed.

    Has `shape`, `dtype`, `nbytes`, `len` and indexing along the first axis, as an array has; `[:]`
    reads everything.

    Attributes:
        array: the whole array.
        indices: which of its rows these are, in their order.
    """

    def __init__(self, array: "NDArray | LazyRows", indices: NDArray[np.integer]) -> None:
        self.array, self.indices = array, indices
        self.shape, self.dtype = (len(indices), *array.shape[1:]), array.dtype
        self.nbytes = prod(self.shape) * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, rows: NDArray[np.integer] | slice) -> NDArray:
        return self.array[self.indices[rows]]


@dataclass(frozen=True)
class Dataset:
    """Examples of one split, in memory or memory-mapped.

    Attributes:
        name: as given to `load`.
        split: `train`, `validation` or `test`.
        arrays: feature name to an array `[examples, ...]`.

    Raises:
        UsageError: there are no arrays, or they differ in length.
    """

    name: str
    split: str
    arrays: Mapping[str, NDArray | LazyRows]

    def __post_init__(self) -> None:
        lengths = {
            name: array.shape[0] if array.shape else 0 for name, array in self.arrays.items()
        }
        if len(set(lengths.values())) != 1:
            found = ", ".join(f"{length} of {name!r}" for name, length in lengths.items())
            raise UsageError(
                f"dataset {self.name!r} has {found or 'no arrays'}, expected arrays with the same "
                "number of examples"
            )

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    @property
    def fits_on_device(self) -> bool:
        """Whether the whole set is small enough to be held on the device."""
        return sum(array.nbytes for array in self.arrays.values()) <= RESIDENT_BYTES

    def batch(self, indices: NDArray[np.integer]) -> dict[str, NDArray]:
        """The examples at `indices`: arrays `[*indices.shape, ...]`."""
        return {name: array[indices] for name, array in self.arrays.items()}

    def subset(self: D, indices: NDArray[np.integer], split: str | None = None) -> D:
        """The examples at `indices`, as the split `split` if one is given.

        Small sets are copied; rows of large ones are read when they are indexed.
        """
        arrays = {
            name: array[indices] if self.fits_on_device else LazyRows(array, indices)
            for name, array in self.arrays.items()
        }
        return replace(self, split=split or self.split, arrays=arrays)

    def take(self: D, count: int) -> D:
        """The first `count` examples, or all if there are fewer.

        Raises:
            UsageError: the count is negative.
        """
        check_integer("the number of examples to take", count, low=0)
        return self.subset(np.arange(min(count, len(self))))

    def evaluation_batches(self, batch_size: int) -> Iterator[dict[str, NDArray]]:
        """Every example once, in order, in batches of exactly `batch_size`.

        The last batch is padded with copies of the last example; `mask` is 1 for examples and 0
        for padding. All batches have one shape, so that one compiled program evaluates them all
        and devices can divide each evenly.

        Raises:
            UsageError: the batch size is not a positive integer.
        """
        check_integer("the evaluation batch size", batch_size, low=1)
        for start in range(0, len(self), batch_size):
            indices = np.arange(start, start + batch_size)
            mask = indices < len(self)
            yield {**self.batch(np.minimum(indices, len(self) - 1)), "mask": mask.astype(np.int32)}
