"""Figures of what networks see: evidence, features, classes in the plane, landscapes."""

import itertools

import numpy as np

from dl_jax.plots import (
    class_regions,
    confusion_matrix,
    evidence_maps,
    feature_maps,
    labeled_points,
    landscapes,
)

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)


def test_evidence_lies_over_its_image_on_its_own_scale():
    maps = np.zeros((3, 2, 2))
    maps[0, 0, 1] = 1e-3  # little, but all there is: as bright as any
    maps[1, 1, 0] = 50
    figure = evidence_maps(IMAGES, {"for the prediction": maps}, ("cat", "dog", "cat"))
    panels = np.array(figure.axes).reshape(2, 3)
    assert [axes.get_xlabel() for axes in panels[1]] == ["cat", "dog", "cat"]
    assert panels[1, 0].get_ylabel() == "for the prediction"
    shown = [np.asarray(axes.images[1].get_array()) for axes in panels[1]]
    assert [image.shape for image in shown] == [(8, 8)] * 3
    assert [image.max() for image in shown] == [1, 1, 0]
    assert shown[0][0, 7] == shown[1][7, 0] == 1  # above right, below left
    assert shown[0][7, 0] == shown[1][0, 7] == 0
    np.testing.assert_array_equal(panels[0, 2].images[0].get_array(), IMAGES[2])


def test_the_features_that_vary_most_are_drawn():
    features = np.zeros((4, 4, 5))
    features[0, 0] = [1, 9, 0, 3, 7]
    figure = feature_maps(IMAGES[0], {"relu1": features}, count=3)
    drawn = [np.asarray(axes.images[0].get_array()).max() for axes in figure.axes[1:]]
    assert drawn == [9, 7, 3]
    assert figure.axes[-1].get_xlabel() == "5 of 4x4"


def test_points_have_the_names_of_their_classes_in_their_middle():
    labels = np.repeat([0, 2], 5)
    places = RNG.normal(size=(10, 2)) + 20 * labels[:, None]
    figure = labeled_points({"by hand": places}, labels, ("cat", "cow", "dog"))
    (axes,) = figure.axes
    assert {text.get_text(): text.get_position() for text in axes.texts} == {
        "cat": tuple(np.median(places[:5], 0)), "dog": tuple(np.median(places[5:], 0)),
    }  # fmt: skip
    assert sum(len(points.get_offsets()) for points in axes.collections) == 10


def test_regions_are_colored_by_class_and_confidence():
    predicted = np.array([[0, 0], [0, 2]])
    confidence = np.array([[1.0, 0.2], [1.0, 1.0]])
    places = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    names = ("cat", "cow", "dog")
    figure = class_regions(predicted, confidence, (0, 1, 0, 1), IMAGES, places, names)
    colors = np.asarray(figure.axes[0].images[0].get_array())
    np.testing.assert_allclose(colors[0, 0], colors[1, 0])
    assert (colors[0, 1] > colors[0, 0] + 0.05).all()  # paler
    assert np.abs(colors[1, 1] - colors[0, 0]).max() > 0.3
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["cat", "dog"]
    assert len(figure.axes[0].artists) == 3  # the images


def test_landscapes_share_one_scale():
    along = np.linspace(-1, 1, 5)
    low = 1 + along[:, None] ** 2 + along[None, :] ** 2
    figure = landscapes(along, {"low": low, "high": 100 * low})
    flat = [axes for axes in figure.axes if axes.get_title(loc="left") in ("low", "high")]
    limits = {(c.norm.vmin, c.norm.vmax) for axes in flat for c in axes.collections[:1]}
    assert limits == {(1, 300)}
    heights = [axes.get_zlim() for axes in figure.axes if hasattr(axes, "get_zlim")]
    assert heights[0] == heights[1]


def test_of_many_classes_those_that_are_confused_stand_together():
    groups = np.arange(30) % 6  # five classes of each
    counts = np.where(groups[:, None] == groups[None, :], 10, 0) + 50 * np.eye(30, dtype=int)
    figure = confusion_matrix(counts, [str(group) for group in groups])
    axes = figure.axes[0]
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert sum(a != b for a, b in itertools.pairwise(names)) == 5
    assert [label.get_text() for label in axes.get_yticklabels()] == names
    shown = np.asarray(axes.images[0].get_array())
    np.testing.assert_array_equal(shown > 0, np.array(names)[:, None] == np.array(names)[None, :])
