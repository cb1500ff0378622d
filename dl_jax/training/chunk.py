"""Training from one step to another, in as few compiled calls as the platform likes."""

from collections.abc import Callable, Iterator
from itertools import chain, pairwise
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, Sharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Int

from dl_jax.compilation import jit, rolled_loop_is_fast
from dl_jax.data import Dataset, Order, process_slice, stream
from dl_jax.errors import MAX_INTEGER
from dl_jax.learners import Learner, Metrics, TrainState
from dl_jax.types import Batch

AskedToStop: TypeAlias = Callable[[], bool]


class Chunk(NamedTuple):
    """The result of a chunk of training steps.

    Attributes:
        state: the learner's, after the last step.
        metrics: of the chunk's training batches, merged.
        first_bad: for each replica, the first step of the chunk whose metrics were not finite; -1
            where all were.
    """

    state: TrainState
    metrics: Metrics
    first_bad: Int[Array, "*replicas"]


TrainChunk: TypeAlias = Callable[[TrainState, int, int, AskedToStop], tuple[Chunk, int]]
"""`train_chunk(state, start, stop, asked_to_stop) -> (chunk, step reached)`."""


def make_train_chunk(
    learner: Learner,
    dataset: Dataset,
    order: Order,
    *,
    on_device: bool,
    compiled_loop: bool | None,
) -> TrainChunk:
    """The function that trains from step `start` to step `stop`, or until it is asked to stop.

    The batches, and the result, are the same to the bit however training is cut into chunks. The
    state passed in is donated: it must not be used again.

    Args:
        learner: its `train_step` is compiled.
        dataset: the training examples.
        order: says which examples each step sees.
        on_device: hold the dataset on the device and gather batches in the compiled step; else
            stream them.
        compiled_loop: run each chunk as one compiled loop; if False, call a compiled step from
            Python; if None, do what is faster here (`rolled_loop_is_fast`).
    """

    def step(chunk: Chunk, batch: Batch) -> Chunk:
        before = chunk.state.step
        state, metrics = learner.train_step(chunk.state, batch)
        bad = ~_all_finite(metrics)
        first_bad = jnp.where((chunk.first_bad < 0) & bad, before, chunk.first_bad)
        return Chunk(state, chunk.metrics.merge(metrics), first_bad)

    @jit
    def start_metrics(state: TrainState) -> tuple[Metrics, Array]:
        shapes = jax.eval_shape(learner.train_step, state, _batch_shapes(dataset, order))[1]
        zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        return zero, jnp.full(state.replicas, -1, state.step.dtype)

    def start_chunk(state: TrainState) -> Chunk:
        return Chunk(state, *start_metrics(state))

    if not on_device:
        streamed_step = jit(step, donate_argnums=0)
        own_part = process_slice(order, jax.process_index(), jax.process_count())

        def train_streamed(
            state: TrainState, start: int, stop: int, asked_to_stop: AskedToStop
        ) -> tuple[Chunk, int]:
            chunk, reached = start_chunk(state), start
            streams, place = len(order.streams), state.step.sharding
            batches = (
                _on_devices(place, part, streams) for part in stream(dataset, own_part, start, stop)
            )
            for batch in _one_ahead(batches):
                chunk, reached = streamed_step(chunk, batch), reached + 1
                if asked_to_stop():
                    break
            return chunk, reached

        return train_streamed

    def gather_and_step(chunk: Chunk, arrays: Batch, epoch: Batch) -> Chunk:
        position = chunk.state.step.reshape(-1)[0] % order.steps_per_epoch
        chosen = {name: array[position] for name, array in epoch.items()}  # [*streams, B]
        return step(chunk, dataset.gather(arrays, chosen))

    def loop(chunk: Chunk, arrays: Batch, epoch: Batch, count: Array) -> Chunk:
        # The count is a traced number: one program for chunks of any length, and the same bits.
        return jax.lax.fori_loop(
            0, count, lambda _, carry: gather_and_step(carry, arrays, epoch), chunk
        )

    one_step = jit(gather_and_step, donate_argnums=0)
    many_steps = jit(loop, donate_argnums=0)
    in_loop = compiled_loop
    arrays: Batch | None = None
    epoch_on_device: tuple[int, Batch] | None = None  # its number, and its batches

    def train_on_device(
        state: TrainState, start: int, stop: int, asked_to_stop: AskedToStop
    ) -> tuple[Chunk, int]:
        nonlocal in_loop, arrays, epoch_on_device
        if in_loop is None:
            in_loop = rolled_loop_is_fast(learner.train_step, state, _batch_shapes(dataset, order))
        place = _everywhere(state)
        if arrays is None:  # put on the state's devices once; otherwise each call would copy it
            arrays = {name: jax.device_put(a[:], place) for name, a in dataset.arrays.items()}
        chunk, reached = start_chunk(state), start
        while reached < stop and not asked_to_stop():
            number = reached // order.steps_per_epoch
            if epoch_on_device is None or epoch_on_device[0] != number:
                epoch_on_device = number, jax.device_put(order.epoch(number), place)
            until = min(stop, (number + 1) * order.steps_per_epoch) if in_loop else reached + 1
            if in_loop:
                chunk = many_steps(chunk, arrays, epoch_on_device[1], until - reached)
            else:
                chunk = one_step(chunk, arrays, epoch_on_device[1])
            reached = until
        return chunk, reached

    return train_on_device


def _batch_shapes(dataset: Dataset, order: Order) -> Batch:
    """Shapes and types of a training batch, without reading one."""
    arrays, indices = (
        {
            # The shape of a batch does not depend on the length, which an int32 may not count.
            name: jax.ShapeDtypeStruct(
                (min(array.shape[0], MAX_INTEGER), *array.shape[1:]),
                jax.dtypes.canonicalize_dtype(array.dtype),
            )
            for name, array in named.items()
        }
        for named in (dataset.arrays, order.batch(0))
    )
    return jax.eval_shape(dataset.gather, arrays, indices)


def _one_ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The batches; when one is given, the next is on its way to the device."""
    yield from (this for this, _ in pairwise(chain(batches, [{}])))


def _on_devices(sharding: Sharding, part: Batch, streams: int) -> Batch:
    """The batch of which each process has read its part, split over the devices of all."""
    if not isinstance(sharding, NamedSharding):
        return jax.device_put(part)
    split = NamedSharding(sharding.mesh, P(*[None] * streams, sharding.mesh.axis_names))
    if jax.process_count() == 1:
        size = min(array.shape[streams] for array in jax.tree.leaves(part))
        # What the devices do not divide is refused, in a sentence, by the learner.
        return part if size % sharding.mesh.size else jax.device_put(part, split)
    return {name: jax.make_array_from_process_local_data(split, a) for name, a in part.items()}


def _everywhere(state: TrainState) -> Sharding | None:
    """Whole copies on all devices that hold the state; None where that is JAX's default device."""
    sharding = state.step.sharding
    return NamedSharding(sharding.mesh, P()) if isinstance(sharding, NamedSharding) else None


def _all_finite(metrics: Metrics) -> Array:
    """Whether all sums are finite, for each replica."""
    finite = [jnp.isfinite(value) for value in metrics.sums.values()]
    return jnp.stack(finite).all(0)
