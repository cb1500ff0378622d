"""Datasets: what their arrays must be, and batches that hold each example once."""

from pathlib import Path

import jax
import numpy as np
import pytest

from dl_jax.data import (
    Contiguous,
    Dataset,
    GroupedByLength,
    ImageDataset,
    Shuffled,
    contiguous,
    grouped_by_length,
    image_statistics,
    load,
)
from dl_jax.data import dataset as dataset_module
from dl_jax.errors import UsageError
from tests.prepared import prepare


def rows(dataset) -> list[bytes]:
    return [image.tobytes() for image in np.asarray(dataset.arrays["image"][:])]


def test_large_sets_are_read_as_small_ones_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    prepare(tmp_path)
    small = load("tiny_images", "train", tmp_path, cache_dir=tmp_path / "cache")
    monkeypatch.setattr(dataset_module, "RESIDENT_BYTES", 10)
    large = load("tiny_images", "train", tmp_path, cache_dir=tmp_path / "cache")
    assert isinstance(small.arrays["image"], np.ndarray)
    assert isinstance(large.arrays["image"], dataset_module.LazyRows)
    indices = np.array([[3, 1], [0, 3]])
    for name in ("image", "label"):
        np.testing.assert_array_equal(large.batch(indices)[name], small.batch(indices)[name])
    assert rows(large.take(4)) == rows(small.take(4))


def test_statistics_are_those_of_the_pixels():
    train = load("digits", "train")
    mean, deviation = image_statistics(train)
    scaled = np.asarray(train.arrays["image"], np.float64) / 255
    np.testing.assert_allclose(mean, scaled.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(deviation, scaled.std((0, 1, 2)), rtol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 7, 20, 100])
def test_evaluation_counts_every_example_once(batch_size: int):
    dataset = load("digits", "test").take(20)
    seen, counted = [], []
    shapes = set()
    for batch in dataset.evaluation_batches(batch_size):
        shapes.add(batch["image"].shape)
        assert set(batch) == {"image", "label", "index", "mask"}
        seen += [image.tobytes() for image in batch["image"][batch["mask"] == 1]]
        counted += batch["index"][batch["mask"] == 1].tolist()
    assert seen == rows(dataset)
    assert counted == list(range(20))
    assert len(shapes) == 1


@pytest.mark.parametrize("batch_size", [0, -3])
def test_an_impossible_evaluation_batch_is_refused(batch_size: int):
    with pytest.raises(UsageError, match=f"evaluation batch size is {batch_size}, expected at lea"):
        next(load("digits", "test").evaluation_batches(batch_size))


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": np.zeros(3), "y": np.zeros(4)}, "has 3 of 'x', 4 of 'y', expected arrays with the"),
        ({}, "has no arrays"),
        *(
            ({"x": np.zeros(3), name: np.zeros(3)}, f"array '{name}', expected a name other than")
            for name in ("index", "epoch", "reset", "mask")
        ),
    ],
)
def test_arrays_that_make_no_batch_are_refused(arrays, said: str):
    with pytest.raises(UsageError, match=said):
        Dataset("set", "train", arrays)


def test_take_gives_the_first_examples():
    dataset = Dataset("set", "train", {"x": np.arange(5)})
    assert dataset.take(2).arrays["x"][:].tolist() == [0, 1]
    assert len(dataset.take(9)) == 5
    with pytest.raises(UsageError, match="to take is -1, expected at least 0"):
        dataset.take(-1)


@pytest.mark.parametrize("streams", [(), (2,)])
def test_a_batch_is_gathered_alike_on_the_host_and_in_a_compiled_step(streams: tuple[int, ...]):
    dataset = load("digits", "train").take(20)
    chosen = dataset.order(4, 0, streams).batch(3)
    on_host = dataset.batch(chosen)
    assert set(on_host) == {"image", "label", "index", "epoch"}
    assert on_host["image"].shape == (*streams, 4, 8, 8, 1)
    arrays = jax.tree.map(jax.numpy.asarray, dict(dataset.arrays))
    compiled = jax.jit(Dataset("another", "test", {"x": np.zeros(1)}).gather)(arrays, chosen)
    for name, array in on_host.items():
        assert compiled[name].dtype == array.dtype
        np.testing.assert_array_equal(compiled[name], array)


def test_an_ordering_says_how_a_dataset_is_visited_and_its_subsets_too():
    arrays = {"x": np.arange(9), "length": np.arange(9)[::-1]}

    def visited(ordering) -> Dataset:
        return Dataset("set", "train", arrays, ordering=ordering)

    assert Dataset("set", "train", arrays).order(2, 5, (3,)) == Shuffled(9, 2, 5, (3,))
    assert visited(contiguous).take(4).order(2, 5) == Contiguous(4, 2, 5)
    some = visited(grouped_by_length("length")).subset(np.array([1, 0, 8]))
    assert some.order(2, 5) == GroupedByLength(np.array([7, 8, 0]), 2, 5)
    with pytest.raises(UsageError, match="has no lengths 'lenght', .* did you mean 'length'"):
        visited(grouped_by_length("lenght")).order(2, 5)


def test_statistics_of_nothing_are_refused():
    nothing = {"image": np.zeros((0, 2, 2, 1), np.uint8), "label": np.zeros(0, np.int32)}
    with pytest.raises(UsageError, match="split 'train' of 'set' holds no images"):
        image_statistics(ImageDataset("set", "train", nothing, ("a", "b")))
