"""The order in which training visits examples: a function of the seed and the step."""

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from dl_jax.errors import UsageError, check_integer

POOL = 50
"""Batches among which examples are sorted by length."""


@runtime_checkable
class Order(Protocol):
    """Which examples each step visits: a pure function of the step, so any step can be asked for.

    A batch is named arrays `[*streams, batch]`, an epoch is `[steps, *streams, batch]` of the same:
    `index`, int32, says which examples (or windows), and `epoch`, int32, is the number of the
    epoch. Arrays are not to be changed: they are kept for the next step.
    """

    @property
    def batch_size(self) -> int:
        """Examples in a batch of one stream."""
        ...

    @property
    def streams(self) -> tuple[int, ...]:
        """Leading axes of a batch, one for each `over_seeds`; `()` is a single stream."""
        ...

    @property
    def steps_per_epoch(self) -> int:
        """Number of full batches in one epoch."""
        ...

    def epoch(self, number: int) -> dict[str, NDArray]:
        """All batches of one epoch, `[steps, *streams, batch]`."""
        ...

    def batch(self, step: int) -> dict[str, NDArray]:
        """The batch of one step, `[*streams, batch]`."""
        ...


class _Epochs:
    """What the orders below share: full batches of `size` examples, made an epoch at a time."""

    size: int
    batch_size: int
    seed: int
    streams: tuple[int, ...]

    def __post_init__(self) -> None:
        check_integer("the number of training examples", self.size, low=1)
        check_integer("seed", self.seed, low=0, high=None)
        check_integer("batch_size", self.batch_size, high=None)
        for size in self.streams:
            check_integer("the size of a stream axis", size, low=1)
        if not 1 <= self.batch_size <= self.size:
            raise UsageError(
                f"batch_size is {self.batch_size}, expected at least 1 and at most the "
                f"{self.size} examples of the training set"
            )

    @property
    def steps_per_epoch(self) -> int:
        """Number of full batches in one epoch."""
        return self.size // self.batch_size

    def epoch(self, number: int) -> dict[str, NDArray]:
        """All batches of one epoch, arrays `[steps, *streams, batch]`."""
        return dict(_epoch(self, number))

    def batch(self, step: int) -> dict[str, NDArray]:
        """The batch of one step, arrays `[*streams, batch]`."""
        number, position = divmod(step, self.steps_per_epoch)
        return {name: array[position] for name, array in _epoch(self, number).items()}

    def _indices(self, number: int) -> dict[str, NDArray]:
        """What `epoch` gives, without `epoch`."""
        raise NotImplementedError

    def _permutations(self, number: int) -> NDArray:
        """Full batches of a new permutation for each stream, `[*streams, steps * batch]`."""
        used = self.steps_per_epoch * self.batch_size
        permutations = [
            np.random.default_rng([self.seed, stream, number]).permutation(self.size)[:used]
            for stream in range(prod(self.streams))
        ]
        return np.stack(permutations).reshape(*self.streams, used)

    def _in_batches(self, indices: NDArray) -> NDArray[np.int32]:
        """Cut `[*streams, steps * batch]` into batches, `[steps, *streams, batch]`."""
        cut = indices.reshape(*self.streams, self.steps_per_epoch, self.batch_size)
        return np.moveaxis(cut, -2, 0).astype(np.int32)


@lru_cache(maxsize=4)
def _epoch(order: _Epochs, number: int) -> dict[str, NDArray]:
    indices = order._indices(number)
    epoch = np.broadcast_to(np.int32(number), indices["index"].shape)  # takes no memory
    indices["index"].setflags(write=False)  # the next step reads it too
    return {**indices, "epoch": epoch}


@dataclass(frozen=True)
class Shuffled(_Epochs):
    """Each epoch is a new permutation, cut into full batches.

    The remainder is dropped; it holds different examples in each epoch. Each stream has its own
    permutations.

    Attributes:
        size: number of examples.
        batch_size: examples in a batch of one stream.
        seed: of the whole experiment.
        streams: leading axes of a batch, one for each `over_seeds`; `()` is a single stream.

    Raises:
        UsageError: a batch is larger than the set; or a number is out of range.
    """

    size: int
    batch_size: int
    seed: int
    streams: tuple[int, ...] = ()

    def _indices(self, number: int) -> dict[str, NDArray]:
        return {"index": self._in_batches(self._permutations(number))}


@dataclass(frozen=True)
class Contiguous(_Epochs):
    """Each place in the batch reads on where it stopped, for state that is carried on.

    Place `b` of step `t` of an epoch visits example `b * steps_per_epoch + t`. The remainder is
    dropped. `reset`, bool, is true in the first step of each epoch, where carried state starts
    again. All epochs and streams are the same.

    Attributes:
        size: number of examples.
        batch_size: examples in a batch of one stream.
        seed: accepted as by the other orders, and not used.
        streams: leading axes of a batch, one for each `over_seeds`; `()` is a single stream.

    Raises:
        UsageError: a batch is larger than the set; or a number is out of range.
    """

    size: int
    batch_size: int
    seed: int
    streams: tuple[int, ...] = ()

    def _indices(self, _number: int) -> dict[str, NDArray]:
        places = np.arange(self.steps_per_epoch * self.batch_size, dtype=np.int32)
        lanes = places.reshape(self.batch_size, self.steps_per_epoch).T  # [steps, batch]
        first = np.arange(self.steps_per_epoch) == 0
        return {"index": self._for_all_streams(lanes), "reset": self._for_all_streams(first)}

    def _for_all_streams(self, array: NDArray) -> NDArray:
        """`[steps]` or `[steps, batch]` as `[steps, *streams, batch]`, without a copy."""
        lanes = array.reshape(self.steps_per_epoch, *[1] * len(self.streams), -1)
        return np.broadcast_to(lanes, (self.steps_per_epoch, *self.streams, self.batch_size))


@dataclass(frozen=True)
class GroupedByLength(_Epochs):
    """Shuffled batches of examples of similar length, so that little is padding.

    Each epoch is a new permutation for each stream. It is sorted within pools of 50 batches and cut
    into batches, which are visited in random order, the same for all streams: their batches of one
    step are of similar length too. The remainder is dropped; it holds different examples in each
    epoch.

    Attributes:
        lengths: integers `[examples]`. They are copied; orders with equal lengths are equal.
        batch_size: examples in a batch of one stream.
        seed: of the whole experiment.
        streams: leading axes of a batch, one for each `over_seeds`; `()` is a single stream.

    Raises:
        UsageError: the lengths are not integers `[examples]`; a batch is larger than the set; or a
            number is out of range.
    """

    lengths: NDArray = field(compare=False, repr=False)
    batch_size: int
    seed: int
    streams: tuple[int, ...] = ()
    digest: str = field(init=False)
    """Of the lengths, for which it stands when orders are compared."""

    def __post_init__(self) -> None:
        shape, dtype = np.shape(self.lengths), np.asarray(self.lengths).dtype
        if len(shape) != 1 or dtype.kind not in "iu":
            raise UsageError(f"lengths are {dtype}{list(shape)}, expected integers [examples]")
        lengths = np.array(self.lengths, np.int64)
        lengths.setflags(write=False)
        object.__setattr__(self, "lengths", lengths)
        object.__setattr__(self, "digest", hashlib.sha256(lengths.tobytes()).hexdigest())
        super().__post_init__()

    @property
    def size(self) -> int:
        """Number of examples."""
        return len(self.lengths)

    def _indices(self, number: int) -> dict[str, NDArray]:
        shuffled = self._permutations(number)  # [*streams, steps * batch]
        pool = np.arange(shuffled.shape[-1]) // (POOL * self.batch_size)
        by_length = np.lexsort((self.lengths[shuffled], np.broadcast_to(pool, shuffled.shape)))
        batches = self._in_batches(np.take_along_axis(shuffled, by_length, axis=-1))
        # Another seed than that of any stream's permutation, which has a 0 for the 1.
        random = np.random.default_rng([self.seed, 0, number, 1])
        return {"index": batches[random.permutation(self.steps_per_epoch)]}
