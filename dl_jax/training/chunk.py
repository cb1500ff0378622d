"""Training forward from one step to another, in as few compiled calls as the platform likes."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, Sharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Int

from dl_jax.compilation import jit
from dl_jax.data import BatchOrder, Dataset, stream
from dl_jax.learners import Learner, Metrics, TrainState
from dl_jax.types import Batch

Stop: TypeAlias = Callable[[], bool]


class Progress(NamedTuple):
    """What one stretch of training carries along.

    Attributes:
        state: the learner's.
        metrics: of the training batches of this stretch, merged.
        first_bad: of each run, the first step of the stretch whose metrics were not finite; -1
            where all were.
    """

    state: TrainState
    metrics: Metrics
    first_bad: Int[Array, "*runs"]


Advance: TypeAlias = Callable[[TrainState, int, int, Stop], tuple[Progress, int]]
"""`advance(state, start, stop, asked_to_stop) -> (progress, step reached)`."""


def make_train_chunk(
    learner: Learner, dataset: Dataset, order: BatchOrder, *, resident: bool, rolled: bool | None
) -> Advance:
    """The function that trains from step `start` to step `stop`, or until it is asked to stop.

    The batches, and the result, are the same to the bit however a stretch is cut. The state that
    is handed in is donated: it must not be used again.

    Args:
        learner: whose `train_step` is compiled.
        dataset: the training examples.
        order: which of them each step sees.
        resident: hold the dataset on the device and gather batches in the compiled step; else
            batches are streamed.
        rolled: make each stretch one compiled loop; if False, call a compiled step from Python;
            if None, do what is faster here (`prefers_compiled_loop`).
    """

    def step(progress: Progress, batch: Batch) -> Progress:
        before = progress.state.step
        state, metrics = learner.train_step(progress.state, batch)
        bad = ~_all_finite(metrics)
        first_bad = jnp.where((progress.first_bad < 0) & bad, before, progress.first_bad)
        return Progress(state, progress.metrics.merge(metrics), first_bad)

    @jit
    def begin(state: TrainState, batch: Batch) -> tuple[Metrics, Array]:
        shapes = jax.eval_shape(learner.train_step, state, batch)[1]
        zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        return zero, jnp.full(state.step.shape, -1, state.step.dtype)

    def start_progress(state: TrainState) -> Progress:
        return Progress(state, *begin(state, dataset.batch(order.batch(0))))

    if not resident:
        stream_step = jit(step, donate_argnums=0)

        def advance_streamed(
            state: TrainState, start: int, stop: int, asked_to_stop: Stop
        ) -> tuple[Progress, int]:
            progress, reached = start_progress(state), start
            for batch in stream(dataset, order, start, stop):
                progress, reached = stream_step(progress, batch), reached + 1
                if asked_to_stop():
                    break
            return progress, reached

        return advance_streamed

    def gather_and_step(progress: Progress, arrays: Batch, indices: Array) -> Progress:
        position = progress.state.step.reshape(-1)[0] % order.steps_per_epoch
        chosen = indices[position]  # [*runs, B]
        batch = {k: a.at[chosen].get(mode="promise_in_bounds") for k, a in arrays.items()}
        return step(progress, batch)

    def loop(progress: Progress, arrays: Batch, indices: Array, count: Array) -> Progress:
        # A count known only when it runs: one program for all lengths, and the same bits.
        return jax.lax.fori_loop(
            0, count, lambda _, carry: gather_and_step(carry, arrays, indices), progress
        )

    resident_step = jit(gather_and_step, donate_argnums=0)
    resident_loop = jit(loop, donate_argnums=0)
    choice = rolled
    arrays: Batch | None = None
    epoch_indices: tuple[int, Array] | None = None

    def advance_resident(
        state: TrainState, start: int, stop: int, asked_to_stop: Stop
    ) -> tuple[Progress, int]:
        nonlocal choice, arrays, epoch_indices
        if choice is None:
            choice = prefers_compiled_loop(learner, state, dataset.batch(order.batch(0)))
        # Put once where the state lies: what is not, a sharded program would copy at each call.
        place = _everywhere(state)
        if arrays is None:
            arrays = {name: jax.device_put(a[:], place) for name, a in dataset.arrays.items()}
        progress, reached = start_progress(state), start
        while reached < stop and not asked_to_stop():
            epoch = reached // order.steps_per_epoch
            if epoch_indices is None or epoch_indices[0] != epoch:
                epoch_indices = epoch, jax.device_put(order.epoch(epoch), place)
            until = min(stop, (epoch + 1) * order.steps_per_epoch)
            if choice:
                count = until - reached
                progress = resident_loop(progress, arrays, epoch_indices[1], count)
                reached = until
            else:
                progress = resident_step(progress, arrays, epoch_indices[1])
                reached += 1
        return progress, reached

    return advance_resident


def _everywhere(state: TrainState) -> Sharding | None:
    """Whole copies on all devices that hold the state; JAX's default device if there is one."""
    sharding = state.step.sharding
    return NamedSharding(sharding.mesh, P()) if isinstance(sharding, NamedSharding) else None


def prefers_compiled_loop(learner: Learner, state: TrainState, batch: Batch) -> bool:
    """Whether many steps are faster as one compiled loop than called from Python.

    They are, on every platform, but for one case: on CPU a convolution inside a rolled loop runs
    some thirty times slower than outside (docs/performance.md).
    """
    if jax.default_backend() != "cpu":
        return True
    return "conv_general_dilated" not in str(jax.make_jaxpr(learner.train_step)(state, batch))


def _all_finite(metrics: Metrics) -> Array:
    """Whether all sums of each run are finite."""
    finite = [jnp.isfinite(value) for value in metrics.sums.values()]
    return jnp.stack(finite).all(0)
