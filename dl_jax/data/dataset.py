"""A dataset: named arrays of examples, and how training visits them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, TypeAlias, TypeVar

import jax
import numpy as np
from numpy.typing import DTypeLike, NDArray

from dl_jax.data.order import Contiguous, GroupedByLength, Order, Shuffled
from dl_jax.errors import UsageError, check_integer, nearest
from dl_jax.types import Batch, Leaf

RESIDENT_BYTES = 2**30
"""Datasets up to this size are held on the device; larger ones are streamed."""

RESERVED = ("epoch", "index", "mask", "reset")
"""What a batch has beside the arrays of its dataset."""


D = TypeVar("D", bound="Dataset")

Ordering: TypeAlias = Callable[["Dataset", int, int, tuple[int, ...]], Order]
"""`ordering(dataset, batch_size, seed, streams)`: how training visits a dataset."""


def shuffled(
    dataset: "Dataset", batch_size: int, seed: int, streams: tuple[int, ...] = ()
) -> Order:
    """Each epoch in a new random order (`Shuffled`)."""
    return Shuffled(dataset.size, batch_size, seed, streams)


def contiguous(
    dataset: "Dataset", batch_size: int, seed: int, streams: tuple[int, ...] = ()
) -> Order:
    """Each place in the batch reads on where it stopped (`Contiguous`)."""
    return Contiguous(dataset.size, batch_size, seed, streams)


def grouped_by_length(name: str) -> Ordering:
    """Batches of examples of similar length (`GroupedByLength`).

    Args:
        name: of the dataset's array of lengths, integers `[examples]`.

    Raises:
        UsageError: when the order is made, there is no such array, or it holds something else.
    """

    def ordering(
        dataset: "Dataset", batch_size: int, seed: int, streams: tuple[int, ...] = ()
    ) -> Order:
        if name not in dataset.arrays:
            raise UsageError(
                f"dataset {dataset.name!r} has no lengths {name!r}, its arrays are "
                f"{', '.join(sorted(dataset.arrays))}{nearest(name, dataset.arrays)}"
            )
        return GroupedByLength(dataset.arrays[name][:], batch_size, seed, streams)

    return ordering


class LazyArray:
    """What is read when it is indexed, along the first axis; `[:]` reads everything.

    Has `shape`, `dtype`, `nbytes` and `len` as an array has.
    """

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.nbytes = prod(shape) * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: NDArray[np.integer] | slice) -> NDArray:
        raise NotImplementedError


class LazyRows(LazyArray):
    """Selected rows of an array that is memory-mapped, or lazy itself.

    Attributes:
        array: the whole array.
        indices: which of its rows these are, in their order.
    """

    def __init__(self, array: NDArray | LazyArray, indices: NDArray[np.integer]) -> None:
        super().__init__((len(indices), *array.shape[1:]), array.dtype)
        self.array, self.indices = array, indices

    def __getitem__(self, rows: NDArray[np.integer] | slice) -> NDArray:
        return self.array[self.indices[rows]]


@dataclass(frozen=True)
class Dataset:
    """Examples of one split, in memory or memory-mapped.

    Attributes:
        name: as given to `load`.
        split: `train`, `validation` or `test`.
        arrays: feature name to an array `[examples, ...]`.
        ordering: how training visits the examples: `shuffled`, `contiguous`,
            `grouped_by_length(name)`, or any function of the dataset that gives an `Order`.

    Raises:
        UsageError: there are no arrays, they differ in length, or one has a name that batches use
            for themselves (`index`, `epoch`, `reset`, `mask`).
    """

    name: str
    split: str
    arrays: Mapping[str, NDArray | LazyArray]
    ordering: Ordering = field(default=shuffled, kw_only=True)

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
        taken = sorted(set(self.arrays) & set(RESERVED))
        if taken:
            raise UsageError(
                f"dataset {self.name!r} has an array {taken[0]!r}, expected a name other than "
                f"{', '.join(RESERVED)}, which batches use for themselves: rename it"
            )

    def __len__(self) -> int:
        return self.size

    @property
    def size(self) -> int:
        """Number of examples: of what an order visits."""
        return next(iter(self.arrays.values())).shape[0]

    @property
    def fits_on_device(self) -> bool:
        """Whether the whole set is small enough to be held on the device."""
        return sum(array.nbytes for array in self.arrays.values()) <= RESIDENT_BYTES

    def order(self, batch_size: int, seed: int, streams: tuple[int, ...] = ()) -> Order:
        """The order in which training visits the examples, for each of a learner's streams.

        Raises:
            UsageError: a batch is larger than the set, or the ordering is not of this set.
        """
        order = self.ordering(self, batch_size, seed, streams)
        last = int(order.epoch(0)["index"].max())
        if last >= self.size:
            raise UsageError(
                f"the ordering of dataset {self.name!r} visits index {last}, expected less than "
                f"its size {self.size}: it is an ordering of something else"
            )
        return order

    def gather(self, arrays: Batch, indices: Batch) -> dict[str, Any]:
        """The examples at `indices["index"]`, and `indices` themselves.

        The same function on the host and inside a compiled step: of the dataset it uses no arrays.

        Args:
            arrays: the dataset's: of NumPy or memory-mapped, or on the device, or traced.
            indices: `index` and what else an order gives.

        Returns:
            Arrays `[*index.shape, ...]` of each feature, and the indices.
        """
        examples = {name: rows(array, indices["index"]) for name, array in arrays.items()}
        return {**examples, **indices}

    def batch(self, indices: NDArray[np.integer] | Mapping[str, NDArray]) -> dict[str, NDArray]:
        """The examples at `indices`, or at the batch of an order: arrays `[*indices.shape, ...]`.

        They come with `index`, and with what else the order gives.
        """
        if not isinstance(indices, Mapping):
            indices = {"index": np.asarray(indices, np.int32)}
        return self.gather(self.arrays, indices)

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
        return self.subset(np.arange(min(count, self.size)))

    def evaluation_batches(self, batch_size: int) -> Iterator[dict[str, NDArray]]:
        """Every example once, in order, in batches of exactly `batch_size`.

        The last batch is padded with copies of the last example; `mask` is 1 for examples and 0
        for padding. All batches have one shape, so that one compiled program evaluates them all
        and devices can divide each evenly.

        Raises:
            UsageError: the batch size is not a positive integer.
        """
        for start in self.evaluation_starts(batch_size):
            yield self.evaluation_batch(start, batch_size)

    def evaluation_starts(self, batch_size: int) -> range:
        """The first example of each evaluation batch."""
        check_integer("the evaluation batch size", batch_size, low=1)
        return range(0, self.size, batch_size)

    def evaluation_batch(self, start: int, batch_size: int) -> dict[str, NDArray]:
        """The evaluation batch that begins with the example `start`."""
        indices = np.arange(start, start + batch_size)
        mask = indices < self.size
        return {**self.batch(np.minimum(indices, self.size - 1)), "mask": mask.astype(np.int32)}


def rows(array: Leaf, index: Leaf) -> Leaf:
    """`array[index]`: on the host, or in a compiled step, where no index is checked."""
    if isinstance(array, jax.Array):
        return array.at[index].get(mode="promise_in_bounds")
    return array[index]
