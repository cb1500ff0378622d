"""A dataset: arrays of examples that can be indexed all at once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from dl_jax.errors import UsageError

# Up to here a dataset is held on the device and batches are gathered there; above it, streamed.
RESIDENT_BYTES = 2**30


class Rows:
    """Chosen rows of an array on disk, read when they are indexed."""

    def __init__(self, array: "NDArray | Rows", indices: NDArray[np.integer]) -> None:
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
        arrays: feature name to an array whose first axis counts the examples; images are uint8
            `[examples, height, width, channels]`, labels int32 `[examples]`.
        classes: names of the labels, in their order.
    """

    name: str
    split: str
    arrays: Mapping[str, NDArray | Rows]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    @property
    def num_classes(self) -> int:
        """Number of different labels."""
        return len(self.classes)

    @property
    def example_shape(self) -> tuple[int, ...]:
        """Shape of one image, `(height, width, channels)`."""
        return tuple(self.arrays["image"].shape[1:])

    @property
    def resident(self) -> bool:
        """Whether the whole set is small enough to be held on the device."""
        return sum(array.nbytes for array in self.arrays.values()) <= RESIDENT_BYTES

    def batch(self, indices: NDArray[np.integer]) -> dict[str, NDArray]:
        """The examples at `indices`; the batch has the shape of `indices` in front."""
        return {name: array[indices] for name, array in self.arrays.items()}

    def subset(self, indices: NDArray[np.integer], split: str | None = None) -> "Dataset":
        """The examples at `indices`, under the name of another split if one is given.

        Small sets are copied; of large ones the rows are looked up when they are asked for.
        """
        arrays = {
            name: array[indices] if self.resident else Rows(array, indices)
            for name, array in self.arrays.items()
        }
        return Dataset(self.name, split or self.split, arrays, self.classes)

    def take(self, count: int) -> "Dataset":
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


def image_statistics(dataset: Dataset) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation of each channel over all pixels, for images scaled to [0, 1]."""
    images = dataset.arrays["image"]
    if images.dtype != np.uint8:
        raise UsageError(f"images are {images.dtype}, expected uint8 as `load` gives them")
    # From the histogram of each channel: exact, and no float copy of the images is made.
    levels = np.arange(256) / 255
    counts = np.zeros((images.shape[-1], 256), np.int64)
    for start in range(0, len(images), 8192):
        part = images[start : start + 8192]
        for channel in range(images.shape[-1]):
            counts[channel] += np.bincount(part[..., channel].ravel(), minlength=256)
    weights = counts / counts.sum(1, keepdims=True)
    mean = weights @ levels
    deviation = np.sqrt(np.maximum(weights @ levels**2 - mean**2, 1e-12))
    return mean.astype(np.float32), deviation.astype(np.float32)
