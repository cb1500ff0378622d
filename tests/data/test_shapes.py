"""The generated shapes: always the same, and told apart by their form alone."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from dl_jax.data import load, load_splits
from dl_jax.data.images.shapes import SHAPES, shapes


@pytest.fixture(scope="module")
def everything():
    return shapes()


def test_they_are_color_images_of_ten_classes(everything):
    images, labels = everything.arrays["image"], everything.arrays["label"]
    assert (images.shape, images.dtype) == ((6000, 32, 32, 3), np.uint8)
    assert np.bincount(labels).tolist() == [600] * 10
    assert everything.classes == tuple(SHAPES)
    assert 20 < images.mean((0, 1, 2)).min() < images.mean((0, 1, 2)).max() < 235


def test_they_are_always_the_same(everything):
    again = shapes()
    np.testing.assert_array_equal(again.arrays["image"], everything.arrays["image"])
    splits = load_splits("shapes")
    assert {name: len(split) for name, split in splits.items()} == {
        "train": 4400, "validation": 400, "test": 1200,
    }  # fmt: skip


def test_another_size_is_drawn():
    assert load("shapes", "test", image_size=(24, 40)).image_shape == (24, 40, 3)


@pytest.mark.parametrize(
    "classifier",
    [
        LogisticRegression(max_iter=300),
        RandomForestClassifier(100, min_samples_leaf=5, random_state=0),
    ],
    ids=["linear", "forest"],
)
def test_their_colors_say_nothing_of_the_class(everything, classifier):
    """Not even to a classifier of how often each level of each color occurs."""
    images, labels = everything.arrays["image"], everything.arrays["label"]
    levels = np.eye(16, dtype=np.float32)[images // 16]  # [N, H, W, 3, 16]
    histograms = levels.mean((1, 2)).reshape(len(images), -1)
    classifier.fit(histograms[:4000], labels[:4000])
    assert classifier.score(histograms[4000:], labels[4000:]) <= 0.1 + 0.05
