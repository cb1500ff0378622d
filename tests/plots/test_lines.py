"""Named curves: means and bands of replicas."""

import numpy as np
import pytest

from dl_jax.plots import named_lines, named_panels

AT = np.arange(3)
VALUES = np.array([[1.0, 1e-1, 1e-3], [1.0, 1e-3, 1e-1]])


@pytest.mark.parametrize("log_scale", [False, True])
def test_line_is_the_mean_and_band_one_standard_deviation(log_scale: bool):
    axes = named_lines({"a": (AT, VALUES)}, x="x", y="y", log_scale=log_scale).axes[0]
    scaled = np.log(VALUES) if log_scale else VALUES
    back = np.exp if log_scale else np.asarray
    mean, std = scaled.mean(0), scaled.std(0, ddof=1)
    np.testing.assert_allclose(axes.get_lines()[0].get_ydata(), back(mean))
    (band,) = axes.collections
    drawn = band.get_paths()[0].vertices[:, 1]
    np.testing.assert_allclose(drawn.min(), back(mean - std).min())
    np.testing.assert_allclose(drawn.max(), back(mean + std).max())
    if log_scale:
        assert drawn.min() > 0  # a log axis has no place for less


def test_one_replica_has_no_band():
    axes = named_lines({"a": (AT, VALUES[:1]), "b": (AT, VALUES[1:])}, x="x", y="y").axes[0]
    assert len(axes.get_lines()) == 2
    assert not axes.collections


def test_a_single_point_has_a_marker():
    (line,) = named_lines({"a": (AT[:1], VALUES[:, :1])}, x="x", y="y").axes[0].get_lines()
    assert line.get_marker() == "o"


def test_a_replica_that_diverged_is_counted_and_not_drawn():
    lost = np.array([[1.0, 2.0, 3.0], [1.0, np.nan, np.nan]])
    axes = named_lines({"a": (AT, lost), "b": (AT, lost[1:])}, x="x", y="y").axes[0]
    first, second = axes.get_lines()
    np.testing.assert_array_equal(first.get_ydata(), lost[0])
    assert first.get_label() == "a (1 of 2 diverged)"
    assert second.get_label() == "b (1 of 1 diverged)"


def test_panels_stand_in_rows():
    panels = {name: {"a": (AT, VALUES)} for name in "abcde"}
    shown = [axes for axes in named_panels(panels, x="x", columns=3).axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in shown] == list("abcde")
    tops = [round(axes.get_subplotspec().rowspan.start) for axes in shown]
    assert tops == [0, 0, 0, 1, 1]
