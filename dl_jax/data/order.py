"""The order in which training visits examples, as a function of the seed and the step alone."""

from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np
from numpy.typing import NDArray

from dl_jax.errors import UsageError


@dataclass(frozen=True)
class BatchOrder:
    """Shuffled batches without a state: the batch of a step can be asked for in any order.

    Each epoch is a permutation of its own, cut into full batches; what is left over at its end is
    skipped, other examples in each epoch. Each of several runs has permutations of its own.

    Attributes:
        num_examples: size of the dataset.
        batch_size: examples in a batch of one run.
        seed: of the whole experiment.
        runs: shape of the runs that train side by side; `()` is one.
    """

    num_examples: int
    batch_size: int
    seed: int
    runs: tuple[int, ...] = ()

    def __post_init__(self) -> None:
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
        """Indices of all batches of one epoch, `[steps, *runs, batch]`."""
        return _epoch(self, epoch)

    def batch(self, step: int) -> NDArray[np.int32]:
        """Indices of the batch of one step, `[*runs, batch]`."""
        epoch, position = divmod(step, self.steps_per_epoch)
        return self.epoch(epoch)[position]


@lru_cache(maxsize=4)
def _epoch(order: BatchOrder, epoch: int) -> NDArray[np.int32]:
    steps, used = order.steps_per_epoch, order.steps_per_epoch * order.batch_size
    permutations = [
        np.random.default_rng([order.seed, run, epoch]).permutation(order.num_examples)[:used]
        for run in range(prod(order.runs))
    ]
    indices = np.stack(permutations).reshape(*order.runs, steps, order.batch_size)
    return np.moveaxis(indices, -2, 0).astype(np.int32)
