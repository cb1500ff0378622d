"""Parts of labeled images: some classes, some of the labels."""

import numpy as np
import pytest

from dl_jax.data import ImageDataset
from dl_jax.errors import UsageError

LABELS = np.array([0, 1, 2, 1, 0, 2, 2, 2, 2, 2], np.int32)
IMAGES = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1)
DATA = ImageDataset("x", "train", {"image": IMAGES, "label": LABELS}, ("cat", "dog", "emu"))


def test_only_some_classes_in_the_order_given():
    part = DATA.only(["emu", "cat"])
    assert part.classes == ("emu", "cat")
    assert part.arrays["image"].ravel().tolist() == [0, 2, 4, 5, 6, 7, 8, 9]
    assert part.arrays["label"].tolist() == [1, 0, 1, 0, 0, 0, 0, 0]
    assert part.arrays["label"].dtype == np.int32


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ([], "expected different ones, at least one"),
        (["cat", "cat"], "expected different ones"),
        (["cat", "dgo"], "class is 'dgo', expected one of cat, dog, emu"),
    ],
)
def test_classes_that_there_are_not(classes, said):
    with pytest.raises(UsageError, match=said):
        DATA.only(classes)


def test_a_fraction_has_each_class_in_its_share():
    half = DATA.fraction(0.5)
    assert np.bincount(half.arrays["label"]).tolist() == [1, 1, 3]
    for image, label in zip(half.arrays["image"].ravel(), half.arrays["label"], strict=True):
        assert LABELS[image] == label
    assert DATA.fraction(1).arrays["image"].ravel().tolist() == list(range(10))
    chosen = {tuple(DATA.fraction(0.5, seed).arrays["image"].ravel()) for seed in range(9)}
    assert len(chosen) > 3
    again = DATA.fraction(0.5).arrays["image"]
    np.testing.assert_array_equal(half.arrays["image"], again)


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0.2, "a fraction of 0.2 of the labels leaves the class 'cat' of 'x' without examples"),
        (0.0, "the fraction of labels is 0"),
        (1.5, "the fraction of labels is 1.5"),
    ],
)
def test_a_fraction_that_leaves_a_class_empty_is_refused(share, said):
    with pytest.raises(UsageError, match=said):
        DATA.fraction(share)
