"""Training batches of a dataset too large for the device, prefetched by grain."""

from collections.abc import Iterator

import grain
from numpy.typing import NDArray

from dl_jax.data.dataset import Dataset
from dl_jax.data.order import Order


def stream(
    dataset: Dataset, order: Order, start: int, stop: int, *, num_threads: int = 2
) -> Iterator[dict[str, NDArray]]:
    """The batches of steps `start` to `stop - 1`, prefetched by threads.

    They are the batches that a dataset on the device gathers at these steps: both use `order` and
    `dataset.gather`.
    """
    steps = grain.MapDataset.range(start, stop)
    batches = steps.map(lambda step: dataset.batch(order.batch(int(step))))
    options = grain.ReadOptions(num_threads=num_threads, prefetch_buffer_size=2 * num_threads)
    return iter(batches.to_iter_dataset(options))
