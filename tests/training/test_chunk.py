"""Chunks of training see the batches of the order, wherever the data is and however it is cut."""

from collections.abc import Callable, Mapping
from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from dl_jax.compilation import jit
from dl_jax.data import Dataset, Windows, contiguous, grouped_by_length, shuffled
from dl_jax.learners import Learner, Metrics, TrainState, over_hyperparameters, over_seeds
from dl_jax.training.chunk import Chunk, TrainChunk, make_train_chunk

SIZE, BATCH, STEPS = 30, 4, 19  # seven steps an epoch
RANDOM = np.random.default_rng(0)
ARRAYS = {
    "x": RANDOM.integers(0, 255, (SIZE, 3)).astype(np.uint8),
    "length": RANDOM.integers(1, 9, SIZE).astype(np.int32),
}
TEXT = {"tokens": RANDOM.integers(0, 99, 6 * SIZE + 1).astype(np.uint16)}
DATA = {
    "shuffled": Dataset("set", "train", ARRAYS, ordering=shuffled),
    "contiguous": Dataset("set", "train", ARRAYS, ordering=contiguous),
    "grouped": Dataset("set", "train", ARRAYS, ordering=grouped_by_length("length")),
    "windows": Windows("text", "train", TEXT, window=6),
    "shuffled windows": Windows("text", "train", TEXT, window=6, stride=2, ordering=shuffled),
}
WAYS = {
    "compiled": {"on_device": True, "compiled_loop": True},
    "python": {"on_device": True, "compiled_loop": False},
    "auto": {"on_device": True, "compiled_loop": None},
    "streamed": {"on_device": False, "compiled_loop": None},
}
CUTS = [(STEPS,), (7, 14, STEPS), (1, 2, 5, 6, 8, 15, 16, STEPS)]


def mixed(seen: Array, batch: Mapping[str, Array]) -> Array:
    """A hash of the batches seen before and of every number of this one, in its place."""
    for name in sorted(batch):
        values = batch[name].reshape(-1).astype(np.uint32)
        places = np.arange(values.size, dtype=np.uint32)
        seen = seen * np.uint32(16777619) + ((values + np.uint32(1)) * (places * 2 + 3)).sum(
            dtype=np.uint32
        )
    return seen


def witness(bad_step: int = -1, offset: float | Array = 0) -> Learner:
    """A learner that learns nothing and remembers what it saw; its loss is NaN at `bad_step`."""

    def init(key: Array, start: None = None) -> TrainState:
        seen = jnp.zeros((), jnp.uint32)
        return TrainState(
            step=jnp.zeros((), jnp.int32), params={}, model_state={"seen": seen}, opt_state=(),
            key=key,
        )  # fmt: skip

    def train_step(state: TrainState, batch: Mapping[str, Array]) -> tuple[TrainState, Metrics]:
        seen = mixed(state.model_state["seen"], batch)
        loss = jnp.where(state.step == bad_step, jnp.nan, batch["index"] * 1.0) + offset
        state = state.replace(step=state.step + 1, model_state={"seen": seen})
        return state, Metrics.of({"loss": loss})

    return Learner(init, train_step, lambda state, batch: Metrics.of({"loss": batch["index"]}))


def chunks(learner: Learner, dataset: Dataset, way: str) -> TrainChunk:
    order = dataset.order(BATCH, 3, learner.streams)
    return make_train_chunk(learner, dataset, order, **WAYS[way])


def trained(train_chunk: TrainChunk, learner: Learner, *stops: int) -> Chunk:
    """The last chunk of training up to each of the stops in turn."""
    state, start, chunk = jit(learner.init)(jax.random.key(0)), 0, None
    for stop in stops:
        chunk, start = train_chunk(state, start, stop, lambda: False)
        state = chunk.state
        assert start == stop
    assert chunk is not None
    return chunk


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", DATA)
def test_training_sees_the_batches_of_the_order(kind: str, way: str):
    """By a loop in numpy over the order, for each of two seeds."""
    dataset, learner = DATA[kind], over_seeds(witness(), 2)
    order, train_chunk = dataset.order(BATCH, 3, (2,)), chunks(learner, dataset, way)
    batches = [dataset.batch(order.batch(step)) for step in range(STEPS)]
    with np.errstate(over="ignore"):
        expected = [
            reduce(mixed, [{n: a[i] for n, a in b.items()} for b in batches], np.uint32(0))
            for i in range(2)
        ]
    for stops in CUTS:
        chunk = trained(train_chunk, learner, *stops)
        assert chunk.state.model_state["seen"].tolist() == expected, stops
        since = (0, *stops)[-2]
        index = np.stack([batch["index"] for batch in batches[since:]], 1)  # [2, steps, batch]
        assert chunk.metrics.sums["loss"].tolist() == index.sum((1, 2)).tolist()
        assert chunk.metrics.counts["loss"].tolist() == [BATCH * (STEPS - since)] * 2
        assert chunk.first_bad.tolist() == [-1, -1]


@pytest.mark.parametrize("way", ["compiled", "streamed"])
def test_all_points_of_a_sweep_see_one_stream(way: str):
    offsets = {"offset": np.zeros(3, np.float32)}
    sweep = over_hyperparameters(lambda offset: witness(offset=offset), offsets)
    together, alone = (
        trained(chunks(learner, DATA["shuffled"], way), learner, STEPS)
        for learner in (sweep, witness())
    )
    assert together.state.replicas == (3,)
    seen = int(alone.state.model_state["seen"])
    assert together.state.model_state["seen"].tolist() == [seen] * 3


@pytest.mark.parametrize("way", ["compiled", "streamed"])
def test_the_first_bad_step_is_named(way: str):
    learner = witness(bad_step=9)
    chunk = trained(chunks(learner, DATA["shuffled"], way), learner, 5, STEPS)
    assert int(chunk.first_bad) == 9


@pytest.mark.parametrize(
    ("way", "asked", "stopped"),
    [
        ("streamed", [False, False, True], 3),  # after a step
        ("python", [False, False, True], 2),  # before one
        ("compiled", [False, True], 7),  # before an epoch
        ("compiled", [True], 0),
    ],
)
def test_it_stops_when_it_is_asked_to(way: str, asked: list[bool], stopped: int):
    learner, answers = witness(), iter(asked)
    state = jit(learner.init)(jax.random.key(0))
    chunk, reached = chunks(learner, DATA["contiguous"], way)(
        state, 0, STEPS, lambda: next(answers)
    )
    assert (reached, int(chunk.state.step)) == (stopped, stopped)


def huge_set() -> Dataset:
    rows = np.broadcast_to(np.float64(1), (10**12, 10**3))
    few = DATA["shuffled"].order(BATCH, 3)
    return Dataset("huge", "train", {"x": rows}, ordering=lambda *_: few)


def huge_text() -> Dataset:
    tokens = np.broadcast_to(np.uint8(1), 2**32)
    return Windows("huge", "train", {"tokens": tokens}, window=2**18)


@pytest.mark.parametrize("make", [huge_set, huge_text])
def test_streaming_reads_no_more_than_its_batches(make: Callable[[], Dataset]):
    """They are longer than an int32 counts and would fill the memory: only shapes are asked for."""
    learner = witness()
    chunk = trained(chunks(learner, make(), "streamed"), learner, 3)
    assert int(chunk.state.step) == 3
