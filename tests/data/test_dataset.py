"""Datasets: what their arrays must be, and batches that hold each example once."""

from pathlib import Path

import numpy as np
import pytest

from dl_jax.data import Dataset, ImageDataset, image_statistics, load
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
    seen = []
    shapes = set()
    for batch in dataset.evaluation_batches(batch_size):
        shapes.add(batch["image"].shape)
        seen += [image.tobytes() for image in batch["image"][batch["mask"] == 1]]
    assert seen == rows(dataset)
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
    ],
)
def test_arrays_of_unequal_length_are_refused(arrays, said: str):
    with pytest.raises(UsageError, match=said):
        Dataset("set", "train", arrays)


def test_take_gives_the_first_examples():
    dataset = Dataset("set", "train", {"x": np.arange(5)})
    assert dataset.take(2).arrays["x"][:].tolist() == [0, 1]
    assert len(dataset.take(9)) == 5
    with pytest.raises(UsageError, match="to take is -1, expected at least 0"):
        dataset.take(-1)


def test_statistics_of_nothing_are_refused():
    nothing = {"image": np.zeros((0, 2, 2, 1), np.uint8), "label": np.zeros(0, np.int32)}
    with pytest.raises(UsageError, match="split 'train' of 'set' holds no images"):
        image_statistics(ImageDataset("set", "train", nothing, ("a", "b")))
