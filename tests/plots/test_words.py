"""Words in figures: all of them in their order, colored by their weights, and where they lie."""

import numpy as np
from matplotlib.colors import to_hex, to_rgb

from dl_jax.plots import colored_words, colored_words_page, word_map

TEXTS = {
    "positive": (["not", "<b>", "bad"], np.array([2.0, 0.0, -2.0])),
    "negative": (["word"] * 40, np.linspace(-0.1, 0.1, 40)),
}


def words_of(figure):
    (axes,) = figure.axes
    return [text for text in axes.texts if text.get_bbox_patch() is not None]


def test_words_stand_in_their_order_in_lines_that_fit():
    figure = colored_words(TEXTS)
    texts = words_of(figure)
    assert [text.get_text() for text in texts] == [w for words, _ in TEXTS.values() for w in words]
    places = [text.get_position() for text in texts[3:]]
    assert places == sorted(places, key=lambda at: (at[1], at[0]))
    assert len({row for _, row in places}) == 3
    headings = [text.get_text() for text in figure.axes[0].texts if text not in texts]
    assert headings == list(TEXTS)


def test_what_speaks_for_is_red_and_what_speaks_against_is_blue():
    for_, nothing, against = (
        to_rgb(text.get_bbox_patch().get_facecolor()) for text in words_of(colored_words(TEXTS))[:3]
    )
    assert for_[0] > for_[2] + 0.2
    assert against[2] > against[0] + 0.2
    assert min(nothing) > 0.95


def test_the_page_has_the_same_words_and_colors():
    page = colored_words_page(TEXTS)
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert page.count("<span") == 43
    color = to_rgb(words_of(colored_words(TEXTS))[0].get_bbox_patch().get_facecolor())
    red, green, blue = (int(255 * part) for part in color)
    assert f"rgb({red}, {green}, {blue})" in page
    assert "title='+2.000'" in page


def test_chosen_words_are_named_and_their_neighbors_listed():
    places = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    words = ["good", "fine", "bad"]
    figure = word_map(places, words, {"good": [0, 1]}, np.array([1.0, 0.5, -1.0]))
    plane, beside = figure.axes
    (points,) = plane.collections
    np.testing.assert_array_equal(points.get_offsets(), places)
    assert len({to_hex(color) for color in points.get_facecolor()}) == 3
    assert [text.get_text() for text in plane.texts] == ["good"]
    assert [text.get_text() for text in beside.texts] == ["good", "fine"]
