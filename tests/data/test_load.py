"""Datasets by name: disjoint splits, exact content, and names that are refused."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from dl_jax.data import cache, image_statistics, load, load_splits
from dl_jax.errors import UsageError
from tests.prepared import prepare


def rows(dataset) -> list[bytes]:
    return [image.tobytes() for image in np.asarray(dataset.arrays["image"][:])]


def test_digits_are_split_without_overlap_or_loss():
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


def test_validation_is_held_out_from_training(tmp_path: Path):
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


def test_a_dataset_with_only_a_training_split_is_divided(tmp_path: Path):
    written = prepare(tmp_path, splits=(("train", 60),))
    data = load_splits("tiny_images", tmp_path, cache_dir=tmp_path / "cache")
    assert {name: len(split) for name, split in data.items()} == {
        "train": 44, "validation": 4, "test": 12,
    }  # fmt: skip
    every = [row for split in data.values() for row in rows(split)]
    assert sorted(every) == sorted(image.tobytes() for image in written["train"]["image"])


def test_supervised_keys_name_images_and_labels(tmp_path: Path):
    written = prepare(tmp_path, features=("picture", "kind"))
    test = load("tiny_images", "test", tmp_path, cache_dir=tmp_path / "cache")
    np.testing.assert_array_equal(test.arrays["image"], written["test"]["image"])
    np.testing.assert_array_equal(test.arrays["label"], written["test"]["label"])


def test_transparency_is_dropped(tmp_path: Path):
    written = prepare(tmp_path, shape=(6, 5, 4), mode="RGBA")
    test = load("tiny_images", "test", tmp_path, cache_dir=tmp_path / "cache")
    np.testing.assert_array_equal(test.arrays["image"], written["test"]["image"][..., :3])


def test_of_several_configurations_one_has_to_be_named(tmp_path: Path):
    prepare(tmp_path, "tiny_images/small")
    for name in ("tiny_images", "tiny_images/small"):
        assert len(load(name, "test", tmp_path, cache_dir=tmp_path / "cache")) == 20
    prepare(tmp_path, "tiny_images/large")
    with pytest.raises(UsageError, match="configurations large, small: choose one, as in 'tiny_im"):
        load("tiny_images", "test", tmp_path)


def test_images_that_differ_in_size_need_a_size(tmp_path: Path):
    prepare(tmp_path, shape=None)
    with pytest.raises(UsageError, match="differ in size: choose the size .* image_size"):
        load("tiny_images", "test", tmp_path, cache_dir=tmp_path / "cache")
    scaled = load("tiny_images", "test", tmp_path, image_size=(8, 8), cache_dir=tmp_path / "c")
    assert scaled.image_shape == (8, 8, 1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnst", "dataset 'mnst' is unknown.*did you mean 'mnist'"),
        ("mnist", "dataset 'mnist' is not prepared in .*tfds build mnist"),
        ("", "dataset is '', expected a name"),
        (".", "there are no images in"),
        ("mnist/../mnist", "dataset is 'mnist/../mnist', expected .* a TFDS name"),
        ("mnist//", "there is no such folder"),
        ("mni\0st", "dataset is 'mni.*st', expected .* a TFDS name"),
        ("x" * 300, "dataset is 'xxx.*expected .* a TFDS name"),
        ("--dataset", "dataset is '--dataset', expected .* a TFDS name"),
        ("~no_such_user/x", "cannot be read"),
    ],
)
def test_names_are_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        load(name, "train", tmp_path)


@pytest.mark.parametrize("name", ["digits", "tiny_images"])
@pytest.mark.parametrize(
    ("size", "said"),
    [
        ((0, 0), "the height is 0"),
        ((5, -1), "the width is -1"),
        ((10**30, 5), "the height is 1000"),
    ],
)
def test_an_impossible_image_size_is_refused(tmp_path: Path, name: str, size, said: str):
    prepare(tmp_path)
    with pytest.raises(UsageError, match=f"image_size: {said}.*, expected at least 1"):
        load(name, "train", tmp_path, image_size=size, cache_dir=tmp_path / "cache")


def test_digits_are_scaled():
    images = load("digits", "train", image_size=(16, 16)).arrays["image"]
    original = load("digits", "train").arrays["image"]
    np.testing.assert_allclose(images[:].mean(), original[:].mean(), rtol=0.02)


def test_their_aspect_is_kept_and_the_middle_remains():
    square, tall, wide = (
        load("digits", "test", image_size=size).arrays["image"][:]
        for size in ((16, 16), (16, 12), (12, 16))
    )
    np.testing.assert_array_equal(tall, square[:, :, 2:14])
    np.testing.assert_array_equal(wide, square[:, 2:14])


def test_each_stored_split_is_verified_and_opened_once(tmp_path: Path, monkeypatch):
    prepare(tmp_path)
    calls = []
    monkeypatch.setattr(cache, "verify", lambda folder: calls.append(folder))
    load_splits("tiny_images", tmp_path, cache_dir=tmp_path / "cache")
    monkeypatch.setattr(cache, "_verified", set())
    data = load_splits("tiny_images", tmp_path, cache_dir=tmp_path / "cache")
    assert len(calls) == len(set(calls)) == 2  # train and test
    assert {split: len(dataset) for split, dataset in data.items()} == {
        "train": 55, "validation": 5, "test": 20,
    }  # fmt: skip


def test_a_missing_data_directory_is_named(tmp_path: Path):
    for folder in (tmp_path / "missing", "~no_such_user/missing"):
        with pytest.raises(UsageError, match="there is no folder .*missing"):
            load("mnist", "train", folder)


def test_an_unknown_split_is_refused():
    with pytest.raises(UsageError, match="split is 'tests'.*did you mean 'test'"):
        load("digits", "tests")


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_real_images_have_the_published_statistics(name: str):
    data = load_splits(name)
    assert [len(data[split]) for split in ("train", "validation", "test")] == [55000, 5000, 10000]
    mean, deviation = image_statistics(data["train"])
    published = {"mnist": (0.1307, 0.3081), "fashion_mnist": (0.2860, 0.3530)}[name]
    np.testing.assert_allclose([mean[0], deviation[0]], published, atol=1e-3)
