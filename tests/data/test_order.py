"""The orders of the data: functions of seed, stream and step, on the device and streamed alike."""

from collections.abc import Callable

import numpy as np
import pytest

from dl_jax.data import (
    Contiguous,
    Dataset,
    GroupedByLength,
    Order,
    Shuffled,
    contiguous,
    grouped_by_length,
    process_slice,
    shuffled,
    stream,
)
from dl_jax.errors import UsageError

SIZE, BATCH = 47, 4
LENGTHS = np.random.default_rng(0).integers(1, 100, SIZE)

ORDERS: dict[str, Callable[..., Order]] = {
    "shuffled": lambda seed=1, streams=(): Shuffled(SIZE, BATCH, seed, streams),
    "contiguous": lambda seed=1, streams=(): Contiguous(SIZE, BATCH, seed, streams),
    "grouped": lambda seed=1, streams=(): GroupedByLength(LENGTHS, BATCH, seed, streams),
}
ORDERINGS = {
    "shuffled": shuffled, "contiguous": contiguous, "grouped": grouped_by_length("length")
}  # fmt: skip
each_order = pytest.mark.parametrize("kind", ORDERS)
each_random_order = pytest.mark.parametrize("kind", ["shuffled", "grouped"])


def assert_same(a: dict, b: dict) -> None:
    assert a.keys() == b.keys()
    for name, array in a.items():
        assert array.dtype == b[name].dtype
        np.testing.assert_array_equal(array, b[name])


@each_order
@pytest.mark.parametrize("streams", [(), (3,), (2, 3)])
def test_a_batch_is_its_place_in_its_epoch(kind: str, streams: tuple[int, ...]):
    order = ORDERS[kind](streams=streams)
    assert order.steps_per_epoch == 11
    names = {"index": np.int32, "epoch": np.int32} | (
        {"reset": np.bool_} if kind == "contiguous" else {}
    )
    for step in (12, 0, 27, 10, 11):  # in no order
        number, position = divmod(step, 11)
        epoch, batch = order.epoch(number), order.batch(step)
        assert {name: array.dtype for name, array in batch.items()} == names
        for name, array in epoch.items():
            assert array.shape == (11, *streams, BATCH)
            np.testing.assert_array_equal(batch[name], array[position])
        assert set(batch["epoch"].ravel().tolist()) == {number}


@each_order
def test_an_epoch_visits_examples_once_and_drops_the_remainder(kind: str):
    epoch = ORDERS[kind](streams=(3,)).epoch(2)["index"]
    for stream_number in range(3):
        visited = epoch[:, stream_number].ravel().tolist()
        assert len(set(visited)) == len(visited) == 44
        assert set(visited) <= set(range(SIZE))


@each_random_order
def test_epochs_streams_and_seeds_differ_and_repeat(kind: str):
    order = ORDERS[kind](streams=(3,))
    epoch = order.epoch(0)["index"]
    assert not np.array_equal(epoch[:, 0], epoch[:, 1])
    assert not np.array_equal(epoch, order.epoch(1)["index"])
    assert not np.array_equal(epoch, ORDERS[kind](seed=2, streams=(3,)).epoch(0)["index"])
    np.testing.assert_array_equal(epoch, ORDERS[kind](streams=(3,)).epoch(0)["index"])


@each_random_order
def test_each_epoch_leaves_out_other_examples(kind: str):
    order = ORDERS[kind]()
    left_out = [set(range(SIZE)) - set(order.epoch(n)["index"].ravel()) for n in range(5)]
    assert len(set.union(*left_out)) > 3


@each_order
def test_a_stream_does_not_depend_on_the_number_of_streams(kind: str):
    single, one, four, nested = (
        ORDERS[kind](streams=streams).epoch(2)["index"] for streams in [(), (1,), (4,), (2, 2)]
    )
    np.testing.assert_array_equal(one[:, 0], single)
    np.testing.assert_array_equal(four[:, 0], single)
    np.testing.assert_array_equal(nested.reshape(four.shape), four)


def test_the_permutations_of_a_seed_are_what_they_always_were():
    """Results that were measured depend on them."""
    expected = np.random.default_rng([7, 1, 3]).permutation(23)[:20].reshape(4, 5)
    np.testing.assert_array_equal(Shuffled(23, 5, 7, (2,)).epoch(3)["index"][:, 1], expected)


@pytest.mark.parametrize("streams", [(), (2,)])
def test_contiguous_lanes_read_on_and_start_again_with_each_epoch(streams: tuple[int, ...]):
    order = Contiguous(14, 3, seed=0, streams=streams)  # 4 steps; examples 12 and 13 are dropped
    for step in range(8):
        batch, position = order.batch(step), step % 4
        assert batch["index"].reshape(-1, 3).tolist() == [
            [position, 4 + position, 8 + position]
        ] * len(batch["index"].reshape(-1, 3))
        assert set(batch["reset"].ravel().tolist()) == {position == 0}


def padding(order: Order, lengths: np.ndarray) -> float:
    """Share of an epoch's tokens that is padding, if each batch is as long as its longest."""
    drawn = lengths[order.epoch(0)["index"]]  # [steps, batch]
    return 1 - drawn.sum() / (drawn.max(-1, keepdims=True) * np.ones_like(drawn)).sum()


def test_grouping_by_length_saves_most_of_the_padding():
    lengths = np.random.default_rng(1).integers(1, 200, 4001)
    grouped, mixed = GroupedByLength(lengths, 16, 0), Shuffled(4001, 16, 0)
    assert padding(mixed, lengths) > 0.4
    assert padding(grouped, lengths) < 0.04


def test_grouped_batches_come_in_random_order_and_the_streams_keep_together():
    lengths = np.random.default_rng(1).integers(1, 200, 400)
    order = GroupedByLength(lengths, 8, 0, (4,))
    means = lengths[order.epoch(0)["index"]].mean(-1)  # [50, 4]
    next_means = lengths[order.epoch(1)["index"]].mean(-1)
    for other in (np.arange(50), next_means[:, 0]):
        assert abs(np.corrcoef(means[:, 0], other)[0, 1]) < 0.4
    for other in (1, 2, 3):
        assert np.corrcoef(means[:, 0], means[:, other])[0, 1] > 0.99


def test_grouped_orders_of_other_lengths_are_not_confused():
    """They differ in nothing else, and epochs are kept from one call to the next."""
    a, b, c = (
        GroupedByLength(lengths, 4, 0)
        for lengths in (LENGTHS, LENGTHS[::-1], LENGTHS.astype(np.int8))
    )
    assert a == c
    assert hash(a) == hash(c)
    assert a != b
    np.testing.assert_array_equal(a.epoch(0)["index"], c.epoch(0)["index"])
    assert not np.array_equal(a.epoch(0)["index"], b.epoch(0)["index"])


def test_lengths_are_copied():
    lengths = LENGTHS.copy()
    order = GroupedByLength(lengths, 4, 0)
    lengths[:] = 1
    np.testing.assert_array_equal(order.lengths, LENGTHS)


@each_order
@pytest.mark.parametrize("processes", [1, 2, 4])
def test_the_slices_of_all_processes_are_the_batch(kind: str, processes: int):
    order = ORDERS[kind](streams=(2,))
    parts = [process_slice(order, process, processes) for process in range(processes)]
    for part in parts:
        assert part.batch_size == BATCH // processes
        assert part.batch(0)["index"].shape == (2, part.batch_size)
        assert (part.streams, part.steps_per_epoch) == ((2,), 11)
    for whole, pieces in (
        (order.batch(13), [part.batch(13) for part in parts]),
        (order.epoch(1), [part.epoch(1) for part in parts]),
    ):
        together = {name: np.concatenate([p[name] for p in pieces], -1) for name in pieces[0]}
        assert_same(together, whole)


@each_order
def test_what_an_order_gives_cannot_be_changed(kind: str):
    for array in ORDERS[kind]().batch(0).values():
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


@pytest.mark.parametrize(
    "make", [Shuffled, Contiguous, lambda size, *a: GroupedByLength(np.ones(size, int), *a)]
)
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((10, 0, 0), "batch_size is 0, expected .* the 10 examples"),
        ((10, 11, 0), "batch_size is 11, expected .* the 10 examples"),
        ((10, 2, -1), "seed is -1, expected at least 0"),
        ((10, 2, 0, (2, 0)), "the size of a stream axis is 0, expected at least 1"),
    ],
)
def test_an_impossible_order_is_refused(make, arguments, said: str):
    with pytest.raises(UsageError, match=said):
        make(*arguments)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Shuffled(0, 1, 0), "number of training examples is 0, expected at least 1"),
        (lambda: GroupedByLength(np.ones(3), 1, 0), r"float64\[3\], expected integers"),
        (lambda: GroupedByLength(np.ones((3, 2), int), 1, 0), r"int64\[3, 2\], expected integers"),
        (lambda: process_slice(Shuffled(9, 6, 0), 0, 4), "batch of 6 examples .* by 4 processes"),
        (lambda: process_slice(Shuffled(9, 6, 0), 3, 3), "process is 3, .* at most 2"),
        (lambda: process_slice(Shuffled(9, 6, 0), 0, 0), "of processes is 0, expected at least 1"),
    ],
)
def test_what_an_order_cannot_be_made_of_is_refused(make, said: str):
    with pytest.raises(UsageError, match=said):
        make()


@each_order
@pytest.mark.parametrize("streams", [(), (2,)])
def test_streaming_gives_the_batches_of_the_order_from_any_step(kind: str, streams):
    arrays = {"x": np.random.default_rng(0).normal(size=(SIZE, 3)), "length": LENGTHS}
    dataset = Dataset("set", "train", arrays, ordering=ORDERINGS[kind])
    order = dataset.order(BATCH, 1, streams)
    assert order == ORDERS[kind](streams=streams)
    start, stop = 9, 25  # across three epochs
    batches = list(stream(dataset, order, start, stop))
    assert len(batches) == stop - start
    for step, batch in zip(range(start, stop), batches, strict=True):
        indices = order.batch(step)
        assert_same(
            batch,
            {"x": arrays["x"][indices["index"]], "length": LENGTHS[indices["index"]], **indices},
        )
