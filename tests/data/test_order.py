"""The order of the data: a function of seed, stream and step, on the device and streamed alike."""

import numpy as np
import pytest

from dl_jax.data import BatchOrder, load, stream
from dl_jax.errors import UsageError


def test_an_epoch_visits_examples_once_and_drops_the_remainder():
    order = BatchOrder(num_examples=23, batch_size=5, seed=0)
    visited = order.epoch(3).ravel()
    assert order.steps_per_epoch == 4
    assert len(set(visited.tolist())) == 20
    assert visited.min() >= 0
    assert visited.max() < 23


def test_epochs_streams_and_seeds_differ_and_repeat():
    order = BatchOrder(40, 8, seed=1, streams=(3,))
    epoch = order.epoch(0)
    assert epoch.shape == (5, 3, 8)
    assert not np.array_equal(epoch[:, 0], epoch[:, 1])
    assert not np.array_equal(epoch, order.epoch(1))
    assert not np.array_equal(epoch, BatchOrder(40, 8, seed=2, streams=(3,)).epoch(0))
    np.testing.assert_array_equal(epoch, BatchOrder(40, 8, seed=1, streams=(3,)).epoch(0))


def test_a_stream_does_not_depend_on_the_number_of_streams():
    alone, among = BatchOrder(40, 8, 0, (1,)), BatchOrder(40, 8, 0, (4,))
    np.testing.assert_array_equal(alone.epoch(2)[:, 0], among.epoch(2)[:, 0])
    np.testing.assert_array_equal(alone.epoch(2)[:, 0], BatchOrder(40, 8, 0).epoch(2))


def test_nested_streams_are_flat_ones_reshaped():
    order = BatchOrder(12, 4, 0, (2, 3))
    assert order.batch(5).shape == (2, 3, 4)
    flat = BatchOrder(12, 4, 0, (6,))
    np.testing.assert_array_equal(order.batch(5).reshape(6, 4), flat.batch(5))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((10, 0, 0), "batch_size is 0, expected .* the 10 examples"),
        ((10, 11, 0), "batch_size is 11, expected .* the 10 examples"),
        ((0, 1, 0), "num_examples is 0, expected at least 1"),
        ((10, 2, -1), "seed is -1, expected at least 0"),
        ((10, 2, 0, (2, 0)), "the size of a stream axis is 0, expected at least 1"),
    ],
)
def test_an_impossible_order_is_refused(arguments, said: str):
    with pytest.raises(UsageError, match=said):
        BatchOrder(*arguments)


def test_the_permutations_of_a_seed_are_what_they_always_were():
    """Results that were measured depend on them."""
    expected = np.random.default_rng([7, 1, 3]).permutation(23)[:20].reshape(4, 5)
    np.testing.assert_array_equal(BatchOrder(23, 5, 7, (2,)).epoch(3)[:, 1], expected)


@pytest.mark.parametrize("streams", [(), (2,)])
def test_streaming_gives_the_batches_of_the_order_from_any_step(streams: tuple[int, ...]):
    dataset = load("digits", "train").take(50)
    order = BatchOrder(50, 8, 0, streams)
    start, stop = 4, 15  # across two epochs
    batches = list(stream(dataset, order, start, stop))
    assert len(batches) == stop - start
    for step, batch in zip(range(start, stop), batches, strict=True):
        expected = dataset.batch(order.batch(step))
        np.testing.assert_array_equal(batch["image"], expected["image"])
        np.testing.assert_array_equal(batch["label"], expected["label"])
