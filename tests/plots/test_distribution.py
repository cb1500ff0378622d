"""The figures of the data: examples per class, and histograms of numeric targets."""

import numpy as np
import pytest
from matplotlib.patches import StepPatch

from dl_jax.plots import class_counts, save, target_histogram


@pytest.mark.parametrize("classes", [2, 10, 61, 300])
def test_counts_of_every_class_are_drawn_and_the_legend_gives_the_size_of_each_split(
    classes: int, tmp_path
) -> None:
    random = np.random.default_rng(0)
    counts = {"train": random.integers(0, 5000, classes), "test": random.integers(0, 90, classes)}
    figure = class_counts(counts, [f"class {i}" for i in range(classes)], "a title")
    (axes,) = figure.axes
    if classes <= 60:
        drawn = [[bar.get_height() for bar in kind] for kind in axes.containers]
    else:
        drawn = [p.get_data().values.tolist() for p in axes.patches if isinstance(p, StepPatch)]
    assert drawn == [values.tolist() for values in counts.values()]
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == [f"{split} ({values.sum():,})" for split, values in counts.items()]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("class", "examples")
    save(figure, tmp_path / "data.png")


def test_class_names_are_whole_and_do_not_overlap() -> None:
    names = ["T-shirt/top", "Trouser", "Pullover", "Ankle boot"]
    figure = class_counts({"train": np.full(4, 6000)}, names)
    figure.draw_without_rendering()
    labels = figure.axes[0].get_xticklabels()
    assert [label.get_text() for label in labels] == names
    ends = [label.get_window_extent().x1 for label in labels]
    assert ends == sorted(ends)
    assert all(label.get_window_extent().y0 >= 0 for label in labels)


def test_a_histogram_has_one_share_a_bin_for_each_split_over_common_bins() -> None:
    train, test = np.arange(1000.0), np.array([0.0, 0.0, 999.0, np.nan])
    (axes,) = target_histogram({"train": train, "test": test}, x="price").axes
    outlines = [p for p in axes.patches if isinstance(p, StepPatch) and p.get_label()]
    shares = [patch.get_data() for patch in outlines]
    np.testing.assert_array_equal(shares[0].edges, shares[1].edges)
    np.testing.assert_allclose([s.values.sum() for s in shares], 1)
    np.testing.assert_allclose(shares[1].values[[0, -1]], [2 / 3, 1 / 3])
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["train (1,000)", "test (4)"]
    assert axes.get_xlabel() == "price"


@pytest.mark.parametrize("values", [np.full(5, 3.0), np.array([1e30, -1e30]), np.array([7.0])])
def test_any_finite_targets_can_be_drawn(values: np.ndarray, tmp_path) -> None:
    save(target_histogram({"train": values, "test": values[:0]}), tmp_path / "data.png")


@pytest.mark.usefixtures("without_shape_checks")
def test_distributions_that_cannot_be_drawn_are_refused() -> None:
    with pytest.raises(ValueError, match="counts of train have shape"):
        class_counts({"train": np.arange(3)}, ["cat", "dog"])
    with pytest.raises(ValueError, match="no split has a finite target"):
        target_histogram({"train": np.array([np.nan])})
