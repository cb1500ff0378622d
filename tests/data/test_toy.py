"""Toy problems: reproducible, in the plane, and as hard as they claim."""

import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from dl_jax.data import TOYS, toy, toy_splits
from dl_jax.errors import UsageError


@pytest.mark.parametrize("name", TOYS)
def test_points_and_labels(name):
    data = toy(name, "train", 400)
    points, labels = data.arrays["point"], data.arrays["label"]
    assert (points.shape, points.dtype) == ((400, 2), np.float32)
    assert labels.dtype == np.int32
    assert 0.35 < labels.mean() < 0.65
    assert np.abs(points).max() < 1.3
    again = toy(name, "train", 400)
    np.testing.assert_array_equal(points, again.arrays["point"])


@pytest.mark.parametrize("name", TOYS)
def test_splits_are_independent_draws_of_one_problem(name):
    data = toy_splits(name, 500)
    train, test = data["train"].arrays, data["test"].arrays
    assert not set(map(bytes, train["point"])) & set(map(bytes, test["point"]))
    neighbors = KNeighborsClassifier(5).fit(train["point"], train["label"])
    assert neighbors.score(test["point"], test["label"]) > 0.95
    other = toy(name, "train", 500, seed=1)
    assert not np.array_equal(other.arrays["point"], train["point"])


@pytest.mark.parametrize("name", TOYS)
def test_a_line_separates_only_the_blobs(name):
    arrays = toy(name, "train", 800).arrays
    line = LogisticRegression().fit(arrays["point"], arrays["label"])
    score = line.score(arrays["point"], arrays["label"])
    assert score > 0.95 if name == "blobs" else score < 0.93


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("xro", "train"), "dataset is 'xro', expected one of .* mean 'xor'"),
        (("xor", "dev"), "split is 'dev'"),
        (("xor", "train", 0), "num_examples is 0"),
    ],
)
def test_impossible_toys_are_refused(arguments, said):
    with pytest.raises(UsageError, match=said):
        toy(*arguments)
    for noise in (-1, math.inf, math.nan):
        with pytest.raises(UsageError, match=f"noise is {noise}"):
            toy("xor", "train", noise=noise)
