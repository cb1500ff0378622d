"""Training batches of a dataset too large for the device, prepared ahead by grain."""

from collections.abc import Iterator

import grain
from numpy.typing import NDArray

from dl_jax.data.dataset import Dataset
from dl_jax.data.order import BatchOrder


def stream(
    dataset: Dataset, order: BatchOrder, start: int, stop: int, *, num_threads: int = 2
) -> Iterator[dict[str, NDArray]]:
    """The batches of steps `start` to `stop - 1`, gathered by threads while others are used.

    The batch of a step is the one that a resident dataset gathers at that step: both ask the same
    `order`.
    """
    steps = grain.MapDataset.range(start, stop)
    batches = steps.map(lambda step: dataset.batch(order.batch(int(step))))
    options = grain.ReadOptions(num_threads=num_threads, prefetch_buffer_size=2 * num_threads)
    return iter(batches.to_iter_dataset(options))
