"""Batches of a dataset too large for the device, read ahead by grain's threads."""

import os
from collections.abc import Callable, Iterator

import grain
from numpy.typing import NDArray

from dl_jax.data.dataset import Dataset
from dl_jax.data.order import Order


def stream(dataset: Dataset, order: Order, start: int, stop: int) -> Iterator[dict[str, NDArray]]:
    """The batches of steps `start` to `stop - 1`, read and decoded ahead by threads.

    They are the batches that a dataset on the device gathers at these steps: both use `order` and
    `dataset.gather`.
    """
    return _ahead(range(start, stop), lambda step: dataset.batch(order.batch(step)))


def evaluation_batches(dataset: Dataset, batch_size: int) -> Iterator[dict[str, NDArray]]:
    """`dataset.evaluation_batches`; those of a large set are read and decoded ahead by threads.

    Raises:
        UsageError: the batch size is not a positive integer.
    """
    if dataset.fits_on_device:
        return dataset.evaluation_batches(batch_size)
    starts = dataset.evaluation_starts(batch_size)
    return _ahead(starts, lambda start: dataset.evaluation_batch(start, batch_size))


def _ahead(
    numbers: range, read: Callable[[int], dict[str, NDArray]]
) -> Iterator[dict[str, NDArray]]:
    """`read` of each number, in their order, by as many threads as there are processors."""
    threads = max(2, os.cpu_count() or 1)
    batches = grain.MapDataset.range(numbers.start, numbers.stop, numbers.step).map(
        lambda number: read(int(number))
    )
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
    return iter(batches.to_iter_dataset(options))
