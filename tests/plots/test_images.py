"""Images in grids and rows, and critics in the plane."""

import numpy as np
import pytest

from dl_jax.plots import ScoredPlane, image_grid, image_rows, scored_planes

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (5, 4, 3, 3), dtype=np.uint8)


def shown(axes) -> np.ndarray:
    return np.asarray(axes.images[0].get_array())


@pytest.mark.parametrize("floats", [False, True])
def test_images_stand_in_their_places_with_white_between(floats):
    images = IMAGES / np.float32(255) if floats else IMAGES
    (axes,) = image_grid(images, columns=2).axes
    whole = shown(axes)
    assert whole.shape == (3 * 4 + 2, 2 * 3 + 1, 3)
    np.testing.assert_array_equal(whole[5:9, 4:7], images[3])
    white = 1 if floats else 255
    assert (whole[4] == white).all()
    assert (whole[10:, 3:] == white).all()  # where a sixth would be


def test_rows_have_their_names():
    gray = RNG.random((4, 8, 8, 1))
    figure = image_rows({"one": gray[:2], "another": gray[2:]})
    assert [axes.get_ylabel() for axes in figure.axes] == ["one", "another"]
    np.testing.assert_array_equal(shown(figure.axes[1])[:, 9:], gray[3, ..., 0])
    with pytest.raises(ValueError, match="as many in each"):
        image_rows({"one": gray, "another": gray[2:]})
    with pytest.raises(ValueError, match="at least one"):
        image_grid(gray[:0])


def test_a_critic_has_its_scores_and_a_diverged_one_says_so():
    points, scores = RNG.normal(size=(6, 2)), RNG.normal(size=(5, 5))
    lost = ScoredPlane("step 9", scores * np.nan, points * np.nan)
    rows = {"good": [ScoredPlane("step 3", scores, points)], "bad": [lost]}
    figure = scored_planes(rows, points, 2.0)
    good, bad = figure.axes
    assert good.get_title() == "step 3"
    assert (good.get_ylabel(), bad.get_ylabel()) == ("good", "bad")
    assert [len(axes.texts) for axes in (good, bad)] == [0, 1]
    assert len(good.collections) == len(bad.collections) + 1  # its contours
