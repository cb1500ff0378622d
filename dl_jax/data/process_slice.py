"""The part of each batch that one process of several reads."""

from dataclasses import dataclass

from numpy.typing import NDArray

from dl_jax.data.order import Order
from dl_jax.errors import UsageError, check_integer


@dataclass(frozen=True)
class _ProcessSlice:
    order: Order
    process: int
    processes: int

    @property
    def batch_size(self) -> int:
        return self.order.batch_size // self.processes

    @property
    def streams(self) -> tuple[int, ...]:
        return self.order.streams

    @property
    def steps_per_epoch(self) -> int:
        return self.order.steps_per_epoch

    def epoch(self, number: int) -> dict[str, NDArray]:
        return self._cut(self.order.epoch(number))

    def batch(self, step: int) -> dict[str, NDArray]:
        return self._cut(self.order.batch(step))

    def _cut(self, indices: dict[str, NDArray]) -> dict[str, NDArray]:
        start = self.process * self.batch_size
        return {name: a[..., start : start + self.batch_size] for name, a in indices.items()}


def process_slice(order: Order, process: int, processes: int) -> Order:
    """The part of every batch that one process of several reads.

    The last axis is cut into equal parts, of which process `process` gets that of its number: put
    together along it, the parts of all processes are the batch.

    Raises:
        UsageError: the processes do not divide the batch, or there is no such process.
    """
    check_integer("the number of processes", processes, low=1)
    check_integer("process", process, low=0, high=processes - 1)
    if order.batch_size % processes:
        raise UsageError(
            f"a batch of {order.batch_size} examples cannot be read by {processes} processes in "
            f"equal parts: make the batch size a multiple of {processes}"
        )
    return _ProcessSlice(order, process, processes)
