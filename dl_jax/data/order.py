"""The order in which training visits examples: a function of the seed and the step."""

from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np
from numpy.typing import NDArray

from dl_jax.errors import UsageError, check_integer


@dataclass(frozen=True)
class BatchOrder:
    """Shuffled batches as a pure function of the step: batches can be asked for in any order.

    Each epoch is a new permutation, cut into full batches. The remainder is dropped; it holds
    different examples in each epoch. Each stream has its own permutations.

    Attributes:
        num_examples: size of the dataset.
        batch_size: examples in a batch of one stream.
        seed: of the whole experiment.
        streams: leading axes of a batch, one for each `over_seeds`; `()` is a single stream.
    """

    num_examples: int
    batch_size: int
    seed: int
    streams: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_integer("num_examples", self.num_examples, low=1)
        check_integer("seed", self.seed, low=0, high=None)
        check_integer("batch_size", self.batch_size, high=None)
        for size in self.streams:
            check_integer("the size of a stream axis", size, low=1)
        if not 1 <= self.batch_size <= self.num_examples:
            raise UsageError(
                f"batch_size is {self.batch_size}, expected at least 1 and at most the "
                f"{self.num_examples} examples of the training set"
            )

    @property
    def steps_per_epoch(self) -> int:
        """Number of full batches in one epoch."""
        return self.num_examples // self.batch_size

    def epoch(self, epoch: int) -> NDArray[np.int32]:
        """Indices of all batches of one epoch, `[steps, *streams, batch]`."""
        return _epoch(self, epoch)

    def batch(self, step: int) -> NDArray[np.int32]:
        """Indices of the batch of one step, `[*streams, batch]`."""
        epoch, position = divmod(step, self.steps_per_epoch)
        return self.epoch(epoch)[position]


@lru_cache(maxsize=4)
def _epoch(order: BatchOrder, epoch: int) -> NDArray[np.int32]:
    steps, used = order.steps_per_epoch, order.steps_per_epoch * order.batch_size
    permutations = [
        np.random.default_rng([order.seed, stream, epoch]).permutation(order.num_examples)[:used]
        for stream in range(prod(order.streams))
    ]
    indices = np.stack(permutations).reshape(*order.streams, steps, order.batch_size)
    return np.moveaxis(indices, -2, 0).astype(np.int32)
