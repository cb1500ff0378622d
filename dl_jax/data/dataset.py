"""A dataset: arrays of examples that can be indexed all at once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

# Up to here a dataset is held on the device and batches are gathered there; above it, streamed.
RESIDENT_BYTES = 2**30


D = TypeVar("D", bound="Dataset")


class LazyRows:
    """Chosen rows of an array on disk, read when they are indexed."""

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
    """Examples of one split, in memory or mapped from the cache.

    Attributes:
        name: as given to `load`.
        split: `train`, `validation` or `test`.
        arrays: feature name to an array whose first axis counts the examples.
    """

    name: str
    split: str
    arrays: Mapping[str, NDArray | LazyRows]

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    @property
    def resident(self) -> bool:
        """Whether the whole set is small enough to be held on the device."""
        return sum(array.nbytes for array in self.arrays.values()) <= RESIDENT_BYTES

    def batch(self, indices: NDArray[np.integer]) -> dict[str, NDArray]:
        """The examples at `indices`; the batch has the shape of `indices` in front."""
        return {name: array[indices] for name, array in self.arrays.items()}

    def subset(self: D, indices: NDArray[np.integer], split: str | None = None) -> D:
        """The examples at `indices`, under the name of another split if one is given.

        Small sets are copied; of large ones the rows are looked up when they are asked for.
        """
        arrays = {
            name: array[indices] if self.resident else LazyRows(array, indices)
            for name, array in self.arrays.items()
        }
        return replace(self, split=split or self.split, arrays=arrays)

    def take(self: D, count: int) -> D:
        """The first `count` examples, for a quick look."""
        return self.subset(np.arange(min(count, len(self))))

    def evaluation_batches(self, batch_size: int) -> Iterator[dict[str, NDArray]]:
        """Every example once, in order, in batches of one shape.

        The last batch is filled up with repeated examples; `mask` is 1 for those that count. All
        datasets thus share one shape, which is the one asked for: devices that divide it evenly
        divide every batch.
        """
        for start in range(0, len(self), batch_size):
            indices = np.arange(start, start + batch_size)
            mask = indices < len(self)
            yield {**self.batch(np.minimum(indices, len(self) - 1)), "mask": mask.astype(np.int32)}
