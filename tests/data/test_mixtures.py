"""Mixtures of Gaussians and a rolled sheet: as they are said to be, and drawn anew each split."""

import numpy as np
import pytest

from dl_jax.data import MIXTURES, SHEET, mixture_centers, mixture_splits, noise, rolled_sheet
from dl_jax.errors import UsageError


@pytest.mark.parametrize(
    ("name", "modes", "reach"), [("eight_gaussians", 8, 2), ("grid_of_gaussians", 25, 4)]
)
def test_every_mode_is_as_likely_and_as_narrow(name, modes, reach):
    centers, data = mixture_centers(name), mixture_splits(name, 20_000)
    assert centers.shape == (modes, 2)
    assert np.abs(centers).max() == reach
    arrays = data["train"].arrays
    counts = np.bincount(arrays["label"], minlength=modes)
    np.testing.assert_allclose(counts, 20_000 / modes, rtol=0.15)
    around = arrays["point"] - centers[arrays["label"]]
    np.testing.assert_allclose(around.std(), MIXTURES[name], rtol=0.03)
    assert not set(map(bytes, arrays["point"])) & set(map(bytes, data["test"].arrays["point"]))
    again = mixture_splits(name, 20_000)["train"].arrays["point"]
    np.testing.assert_array_equal(again, arrays["point"])


def test_a_sheet_has_three_dimensions_of_many_and_is_not_flat():
    data = rolled_sheet(2000, noise=0.0)
    train, test = (data[split].arrays["point"] for split in ("train", "test"))
    assert train.shape == (2000, 32)
    values = np.linalg.svd(np.concatenate([train, test]), compute_uv=False)
    assert values[2] > 5
    assert values[3] < 1e-3  # the turn is common to all splits
    place = data["train"].arrays["place"]
    assert (place.min(0) >= 0).all()
    np.testing.assert_allclose(place.max(0), SHEET, rtol=0.01)
    # Neighbors on the sheet are as far from each other in space.
    near, place = data["train"].take(400).arrays["point"], place[:400]
    flat = np.linalg.norm(place[:, None] - place, axis=-1)
    space = np.linalg.norm(near[:, None] - near, axis=-1)
    close = (flat < 0.15) & (flat > 0)
    np.testing.assert_allclose(space[close] / flat[close], 1, atol=0.02)
    place = data["train"].arrays["place"]
    # Its length is not a linear function of its points, its width is.
    with_one = np.concatenate([train, np.ones((2000, 1))], axis=1)
    left = [np.linalg.lstsq(with_one, place[:, i], rcond=None)[1] for i in range(2)]
    assert left[0].sum() > 50
    assert left[1].sum() < 1e-3


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (lambda: mixture_splits("nine"), "dataset is 'nine'"),
        (lambda: mixture_splits("eight_gaussians", 0), "num_examples is 0"),
        (lambda: rolled_sheet(dimensions=2), "dimensions is 2"),
        (lambda: rolled_sheet(noise=-1.0), "noise is -1.0"),
    ],
)
def test_impossible_ones_are_refused(run, said):
    with pytest.raises(UsageError, match=said):
        run()


def test_noise_is_normal_with_each_class_as_often():
    drawn = noise(4000, 3, num_classes=4, seed=1)
    x = drawn.arrays["noise"]
    assert x.shape == (4000, 3)
    np.testing.assert_allclose([x.mean(), x.std()], [0, 1], atol=0.02)
    np.testing.assert_array_equal(np.bincount(drawn.arrays["label"]), [1000] * 4)
    np.testing.assert_array_equal(noise(4000, 3, seed=1).arrays["noise"], x)
    assert set(noise(2, 3).arrays) == {"noise"}
    with pytest.raises(UsageError, match="latent_dim is 0"):
        noise(2, 0)
