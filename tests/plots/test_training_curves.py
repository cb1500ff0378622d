"""The lines and bands of `training_curves` hold the numbers of the history."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.figure import Figure

from dl_jax.plots import save, training_curves


def row(step: int, split: str, **values: object) -> dict:
    return {"step": step, "epoch": step / 10, "split": split, **values}


SEVERAL = [
    row(10, "train", accuracy=[0.5, 0.7, 0.9], loss=[1.0, 2.0, 3.0]),
    row(10, "validation", accuracy=[0.4, 0.5, 0.6], loss=[2.0, 2.0, 5.0]),
    row(20, "train", accuracy=[0.8, 0.8, 0.8], loss=[0.5, 1.0, 1.5]),
    row(20, "validation", accuracy=[0.6, 0.7, 0.8], loss=[1.0, 1.5, 2.0]),
]
ONE = [row(10, "train", loss=1.0, accuracy=0.5), row(20, "train", loss=[0.5], accuracy=[0.75])]


def panel(figure: Figure, name: str) -> Axes:
    return next(axes for axes in figure.axes if axes.get_title(loc="left") == name)


def line(axes: Axes, split: str) -> tuple[np.ndarray, np.ndarray]:
    found = next(line for line in axes.get_lines() if line.get_label() == split)
    return np.asarray(found.get_xdata()), np.asarray(found.get_ydata())


def bands(axes: Axes) -> list[FillBetweenPolyCollection]:
    return [c for c in axes.collections if isinstance(c, FillBetweenPolyCollection)]


def legend(figure: Figure) -> tuple[str, list[str]]:
    (found,) = figure.legends
    return found.get_title().get_text(), [text.get_text() for text in found.get_texts()]


def test_lines_are_means_over_replicas() -> None:
    figure = training_curves(SEVERAL)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["loss", "accuracy"]
    epochs, values = line(panel(figure, "loss"), "validation")
    np.testing.assert_allclose(epochs, [1.0, 2.0])
    np.testing.assert_allclose(values, [3.0, 1.5])
    np.testing.assert_allclose(line(panel(figure, "accuracy"), "train")[1], [0.7, 0.8])
    assert panel(figure, "loss").get_xlabel() == "epoch"


def test_bands_are_one_sample_standard_deviation_wide() -> None:
    axes = panel(training_curves(SEVERAL), "loss")
    train, validation = bands(axes)
    for band, first in ((train, [1.0, 2.0, 3.0]), (validation, [2.0, 2.0, 5.0])):
        points = band.get_paths()[0].vertices
        heights = points[points[:, 0] == 1.0][:, 1]
        middle, spread = np.mean(first), np.std(first, ddof=1)
        np.testing.assert_allclose(
            [heights.min(), heights.max()], [middle - spread, middle + spread]
        )


def test_only_several_replicas_have_bands() -> None:
    several, one = training_curves(SEVERAL), training_curves(ONE)
    assert [len(bands(axes)) for axes in several.axes] == [2, 2]
    assert [len(bands(axes)) for axes in one.axes] == [0, 0]
    assert legend(several) == (
        "mean ± standard deviation of 3 replicas",
        ["train", "validation"],
    )
    assert legend(one) == ("", ["train"])


def test_a_number_and_a_list_of_one_are_drawn_alike() -> None:
    np.testing.assert_allclose(line(panel(training_curves(ONE), "loss"), "train")[1], [1.0, 0.5])


def test_nonfinite_replicas_are_left_out_and_counted_in_a_note() -> None:
    history = [
        row(10, "train", loss=[1.0, 3.0, 5.0]),
        row(20, "train", loss=[1.0, None, 3.0]),
        row(30, "train", loss=[2.0, float("nan"), float("inf")]),
        row(40, "train", loss=[None, None, None]),
    ]
    axes = panel(training_curves(history), "loss")
    np.testing.assert_allclose(line(axes, "train")[1], [3.0, 2.0, 2.0, np.nan])
    assert axes.get_title(loc="right") == "train: 3 of 3 replicas not finite"
    lost_one = panel(training_curves(history[:2]), "loss")
    assert lost_one.get_title(loc="right") == "train: 1 of 3 replicas not finite"
    assert panel(training_curves(SEVERAL), "loss").get_title(loc="right") == ""


def test_a_history_that_is_never_finite_can_be_drawn(tmp_path) -> None:
    figure = training_curves([row(10, "train", loss=None), row(20, "train", loss=None)])
    assert np.isnan(line(figure.axes[0], "train")[1]).all()
    assert save(figure, tmp_path / "curves.png").stat().st_size > 1000


def test_a_single_point_has_a_marker() -> None:
    axes = panel(training_curves([*ONE, row(20, "test", loss=0.7)]), "loss")
    markers = {line.get_label(): line.get_marker() for line in axes.get_lines()}
    assert markers == {"train": "", "test": "D"}


def test_rows_are_ordered_by_step_and_the_last_of_a_step_counts() -> None:
    history = [row(20, "train", loss=9.0), row(10, "train", loss=1.0), row(20, "train", loss=0.5)]
    epochs, values = line(training_curves(history).axes[0], "train")
    np.testing.assert_allclose(epochs, [1.0, 2.0])
    np.testing.assert_allclose(values, [1.0, 0.5])


def test_metrics_can_be_chosen_ordered_and_put_on_a_log_axis() -> None:
    figure = training_curves(SEVERAL, metrics=["accuracy", "loss"], log_scale=["loss"], title="T")
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["accuracy", "loss"]
    assert [axes.get_yscale() for axes in figure.axes] == ["linear", "log"]
    assert figure.get_suptitle() == "T"
    assert len(training_curves(SEVERAL, metrics=["loss"]).axes) == 1


def test_splits_differ_by_more_than_color() -> None:
    lines = panel(training_curves(SEVERAL), "loss").get_lines()
    assert len({line.get_linestyle() for line in lines}) == 2


@pytest.mark.parametrize(
    ("history", "options", "message"),
    [
        ([], {}, "records nothing, expected at least one metric"),
        (ONE, {"metrics": ["bleu"]}, "records loss, accuracy, expected bleu"),
        ([row(1, "dev", loss=1.0)], {}, r"splits \['dev'\], expected train, validation, test"),
        (
            [row(1, "train", loss=[1.0, 2.0]), row(2, "train", loss=[1.0])],
            {},
            "loss of the train split is given for 1 and 2 replicas",
        ),
    ],
)
def test_invalid_histories_are_refused(history: list, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        training_curves(history, **options)
