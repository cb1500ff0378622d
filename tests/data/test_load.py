"""Datasets by name: disjoint splits, exact content, and every way that a name can go wrong."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from dl_jax.data import dataset as dataset_module
from dl_jax.data import image_statistics, load, load_splits
from dl_jax.errors import UsageError
from tests.prepared import prepare


def rows(dataset) -> list[bytes]:
    return [image.tobytes() for image in np.asarray(dataset.arrays["image"][:])]


def test_digits_are_divided_without_overlap_and_without_loss():
    splits = load_splits("digits")
    assert {name: len(split) for name, split in splits.items()} == {
        "train": 1318, "validation": 120, "test": 359,
    }  # fmt: skip
    every = [row for split in splits.values() for row in rows(split)]
    original = np.round(load_digits().images * (255 / 16)).astype(np.uint8)
    assert sorted(every) == sorted(image.tobytes() for image in original)


def test_the_split_seed_chooses_what_is_held_out():
    same, other = load("digits", "test"), load("digits", "test", split_seed=1)
    assert rows(same) == rows(load("digits", "test"))
    assert rows(same) != rows(other)


def test_a_prepared_dataset_is_read_exactly(tmp_path: Path):
    written = prepare(tmp_path)
    test = load("tiny_images", "test", tmp_path, cache_dir=tmp_path / "cache")
    np.testing.assert_array_equal(test.arrays["image"], written["test"]["image"])
    np.testing.assert_array_equal(test.arrays["label"], written["test"]["label"])
    assert test.arrays["image"].dtype == np.uint8
    assert test.num_classes == 3
    assert test.image_shape == (6, 5, 1)


def test_held_out_examples_are_training_examples_that_training_does_not_see(tmp_path: Path):
    written = prepare(tmp_path)
    cache = tmp_path / "cache"
    train, validation = (
        load("tiny_images", split, tmp_path, validation_fraction=0.25, cache_dir=cache)
        for split in ("train", "validation")
    )
    assert (len(train), len(validation)) == (45, 15)
    original = sorted(image.tobytes() for image in written["train"]["image"])
    assert sorted(rows(train) + rows(validation)) == original


def test_a_validation_split_of_its_own_is_used(tmp_path: Path):
    written = prepare(tmp_path, splits=(("train", 20), ("validation", 7), ("test", 5)))
    data = load_splits("tiny_images", tmp_path, cache_dir=tmp_path / "cache")
    assert len(data["train"]) == 20
    np.testing.assert_array_equal(
        data["validation"].arrays["image"], written["validation"]["image"]
    )


def test_a_dataset_of_training_examples_alone_is_divided(tmp_path: Path):
    written = prepare(tmp_path, splits=(("train", 60),))
    data = load_splits("tiny_images", tmp_path, cache_dir=tmp_path / "cache")
    assert {name: len(split) for name, split in data.items()} == {
        "train": 44, "validation": 4, "test": 12,
    }  # fmt: skip
    every = [row for split in data.values() for row in rows(split)]
    assert sorted(every) == sorted(image.tobytes() for image in written["train"]["image"])


def test_the_dataset_says_what_its_images_and_labels_are_called(tmp_path: Path):
    written = prepare(tmp_path, features=("picture", "kind"))
    test = load("tiny_images", "test", tmp_path, cache_dir=tmp_path / "cache")
    np.testing.assert_array_equal(test.arrays["image"], written["test"]["image"])
    np.testing.assert_array_equal(test.arrays["label"], written["test"]["label"])


def test_transparency_is_left_out(tmp_path: Path):
    written = prepare(tmp_path, shape=(6, 5, 4), mode="RGBA")
    test = load("tiny_images", "test", tmp_path, cache_dir=tmp_path / "cache")
    np.testing.assert_array_equal(test.arrays["image"], written["test"]["image"][..., :3])


def test_a_configuration_has_to_be_named(tmp_path: Path):
    prepare(tmp_path, "tiny_images/small")
    with pytest.raises(UsageError, match="configurations small: choose one, as in 'tiny_images/sm"):
        load("tiny_images", "test", tmp_path)
    test = load("tiny_images/small", "test", tmp_path, cache_dir=tmp_path / "cache")
    assert len(test) == 20


def test_images_that_differ_in_size_need_a_size(tmp_path: Path):
    prepare(tmp_path, shape=None)
    with pytest.raises(UsageError, match="differ in size: choose the size .* image_size"):
        load("tiny_images", "test", tmp_path, cache_dir=tmp_path / "cache")
    scaled = load("tiny_images", "test", tmp_path, image_size=(8, 8), cache_dir=tmp_path / "c")
    assert scaled.image_shape == (8, 8, 1)


def test_large_sets_are_indexed_where_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
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


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnst", "dataset 'mnst' is unknown.*did you mean 'mnist'"),
        ("mnist", "dataset 'mnist' is not prepared in .*tfds build mnist"),
    ],
)
def test_a_dataset_that_is_not_there(tmp_path: Path, name: str, message: str):
    with pytest.raises(UsageError, match=message):
        load(name, "train", tmp_path)


def test_a_data_directory_that_is_not_there(tmp_path: Path):
    with pytest.raises(UsageError, match="there is no folder .*missing"):
        load("mnist", "train", tmp_path / "missing")


def test_a_corrupt_record_is_named(tmp_path: Path):
    prepare(tmp_path, corrupt=17)
    with pytest.raises(UsageError, match="record 17 of 'tiny_images', split 'train'.*is corrupt"):
        load("tiny_images", "train", tmp_path, cache_dir=tmp_path / "cache")


def test_a_damaged_record_file_is_an_error_with_advice(tmp_path: Path):
    prepare(tmp_path)
    file = next((tmp_path / "tiny_images" / "1.0.0").glob("*train*"))
    data = bytearray(file.read_bytes())
    for position in range(200, len(data) - 200, 97):
        data[position] ^= 255
    file.write_bytes(data)
    with pytest.raises(UsageError, match="prepare"):
        load("tiny_images", "train", tmp_path, cache_dir=tmp_path / "cache")


def test_an_unknown_split():
    with pytest.raises(UsageError, match="split is 'tests'.*did you mean 'test'"):
        load("digits", "tests")


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_the_real_images(name: str):
    data = load_splits(name)
    assert [len(data[split]) for split in ("train", "validation", "test")] == [55000, 5000, 10000]
    mean, deviation = image_statistics(data["train"])
    published = {"mnist": (0.1307, 0.3081), "fashion_mnist": (0.2860, 0.3530)}[name]
    np.testing.assert_allclose([mean[0], deviation[0]], published, atol=1e-3)
