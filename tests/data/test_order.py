"""The order of the data: a function of seed, run and step, the same resident and streamed."""

import numpy as np
import pytest

from dl_jax.data import BatchOrder, load, stream
from dl_jax.errors import UsageError


def test_an_epoch_visits_each_example_at_most_once_and_all_but_the_rest():
    order = BatchOrder(num_examples=23, batch_size=5, seed=0)
    visited = order.epoch(3).ravel()
    assert order.steps_per_epoch == 4
    assert len(set(visited.tolist())) == 20
    assert visited.min() >= 0
    assert visited.max() < 23


def test_epochs_runs_and_seeds_differ_and_repeat():
    order = BatchOrder(40, 8, seed=1, runs=(3,))
    epoch = order.epoch(0)
    assert epoch.shape == (5, 3, 8)
    assert not np.array_equal(epoch[:, 0], epoch[:, 1])
    assert not np.array_equal(epoch, order.epoch(1))
    assert not np.array_equal(epoch, BatchOrder(40, 8, seed=2, runs=(3,)).epoch(0))
    np.testing.assert_array_equal(epoch, BatchOrder(40, 8, seed=1, runs=(3,)).epoch(0))


def test_a_run_has_the_same_order_whatever_the_number_of_runs():
    alone, among = BatchOrder(40, 8, 0, (1,)), BatchOrder(40, 8, 0, (4,))
    np.testing.assert_array_equal(alone.epoch(2)[:, 0], among.epoch(2)[:, 0])
    np.testing.assert_array_equal(alone.epoch(2)[:, 0], BatchOrder(40, 8, 0).epoch(2))


def test_nested_runs():
    order = BatchOrder(12, 4, 0, (2, 3))
    assert order.batch(5).shape == (2, 3, 4)
    flat = BatchOrder(12, 4, 0, (6,))
    np.testing.assert_array_equal(order.batch(5).reshape(6, 4), flat.batch(5))


@pytest.mark.parametrize("batch_size", [0, 11])
def test_a_batch_that_the_set_cannot_fill(batch_size: int):
    with pytest.raises(
        UsageError, match=f"batch_size is {batch_size}, expected .* the 10 examples"
    ):
        BatchOrder(10, batch_size, 0)


@pytest.mark.parametrize("runs", [(), (2,)])
def test_streaming_gives_the_batches_of_the_order_from_any_step(runs: tuple[int, ...]):
    dataset = load("digits", "train").take(50)
    order = BatchOrder(50, 8, 0, runs)
    start, stop = 4, 15  # across two epochs
    batches = list(stream(dataset, order, start, stop))
    assert len(batches) == stop - start
    for step, batch in zip(range(start, stop), batches, strict=True):
        expected = dataset.batch(order.batch(step))
        np.testing.assert_array_equal(batch["image"], expected["image"])
        np.testing.assert_array_equal(batch["label"], expected["label"])
