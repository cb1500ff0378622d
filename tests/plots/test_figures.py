"""Contents of the other figures, and saving them."""

import re
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from dl_jax.evaluation import Reliability, reliability
from dl_jax.plots import (
    confident_mistakes,
    confusion_matrix,
    first_layer_filters,
    prediction_grid,
    reliability_diagram,
    save,
)
from dl_jax.plots.style import VERMILLION

FASHION = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


def overlapping(figure: Figure, texts: list) -> list[tuple[str, str]]:
    """Pairs of texts that would be printed over each other."""
    figure.draw_without_rendering()
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts if t.get_text().strip()]
    return [
        (name, other)
        for i, (name, box) in enumerate(boxes)
        for other, other_box in boxes[i + 1 :]
        if box.overlaps(other_box)
    ]


def assert_inside(figure: Figure, texts: list) -> None:
    figure.draw_without_rendering()
    for text in texts:
        box = text.get_window_extent()
        assert box.x0 >= 0, text.get_text()
        assert box.y0 >= 0, text.get_text()
        assert box.x1 <= figure.bbox.x1, text.get_text()
        assert box.y1 <= figure.bbox.y1, text.get_text()


# confusion_matrix


def test_confusion_prints_counts_and_colors_shares() -> None:
    counts = np.array([[3, 1], [0, 0]])
    axes = confusion_matrix(counts, ("cat", "dog")).axes[0]
    printed = {t.get_position(): t.get_text() for t in axes.texts}
    assert printed == {(0, 0): "3", (1, 0): "1", (0, 1): "0", (1, 1): "0"}
    (image,) = axes.images
    np.testing.assert_allclose(image.get_array(), [[0.75, 0.25], [0, 0]])
    assert image.get_clim() == (0, 1)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [label.get_text() for label in labels] == ["cat", "dog"]


def test_long_class_names_fit() -> None:
    figure = confusion_matrix(np.full((10, 10), 6000), FASHION, title="Fashion-MNIST")
    axes = figure.axes[0]
    assert_inside(figure, [*axes.get_xticklabels(), *axes.get_yticklabels()])
    assert not overlapping(figure, [*axes.get_yticklabels(), *axes.texts])
    assert [label.get_text() for label in axes.get_xticklabels()] == list(FASHION)


def test_many_classes_have_colors_without_counts() -> None:
    names = tuple(f"class number {i}" for i in range(40))
    figure = confusion_matrix(np.eye(40, dtype=int), names)
    axes = figure.axes[0]
    assert not axes.texts
    labels = [*axes.get_xticklabels(), *axes.get_yticklabels()]
    assert not overlapping(figure, labels)
    frame = axes.get_window_extent()
    # Names stand beside the matrix, not on it.
    assert all(label.get_window_extent().y1 <= frame.y0 for label in axes.get_xticklabels())


@pytest.mark.usefixtures("without_shape_checks")
def test_confusion_needs_a_row_per_class() -> None:
    with pytest.raises(ValueError, match=re.escape("shape (2, 3), expected (2, 2)")):
        confusion_matrix(np.ones((2, 3), int), ("cat", "dog"))


# prediction_grid and confident_mistakes


def graded(count: int = 4, size: int = 8, channels: int = 1) -> np.ndarray:
    """Image `i` is gray of level `i`."""
    levels = np.arange(count, dtype=np.uint8)[:, None, None, None]
    return np.broadcast_to(levels, (count, size, size, channels)).copy()


PROBABILITIES = np.array([[0.9, 0.1], [0.25, 0.75], [1.0, 0.0], [0.4, 0.6]])
LABELS = np.array([0, 0, 1, 1])
PETS = ("cat", "dog")


def tiles(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.images]


def is_framed(axes: Axes) -> bool:
    spine = axes.spines["left"]
    return spine.get_linewidth() >= 2 and to_hex(spine.get_edgecolor()) == VERMILLION.lower()


@pytest.mark.parametrize("size", [8, 28])
@pytest.mark.parametrize("channels", [1, 3])
def test_grid_shows_prediction_confidence_and_true_class(size: int, channels: int) -> None:
    images = graded(4, size, channels)
    figure = prediction_grid(images, LABELS, PROBABILITIES, PETS, columns=3)
    found = tiles(figure)
    assert [axes.get_xlabel() for axes in found] == [
        "✓ cat (90%)\ntrue: cat",
        "✗ dog (75%)\ntrue: cat",
        "✗ cat (100%)\ntrue: dog",
        "✓ dog (60%)\ntrue: dog",
    ]
    assert [is_framed(axes) for axes in found] == [False, True, True, False]
    assert len({axes.get_position().y0 for axes in found}) == 2
    for axes, image in zip(found, images, strict=True):
        shown = axes.images[0]
        np.testing.assert_array_equal(shown.get_array(), image[..., 0] if channels == 1 else image)
        assert shown.get_interpolation() == "nearest"
        if channels == 1:
            # One scale for all: an almost black image stays almost black.
            assert shown.get_clim() == (0, 255)


def test_grid_of_long_names_does_not_overlap() -> None:
    probabilities = np.full((12, 10), 0.0)
    probabilities[:, 0] = 1
    labels = np.resize([0, 9], 12)
    figure = prediction_grid(graded(12, 28), labels, probabilities, FASHION, title="Clothes")
    texts = [axes.xaxis.label for axes in tiles(figure)]
    assert not overlapping(figure, [*texts, *figure.texts])
    assert_inside(figure, [*texts, *figure.texts])


def test_float_images_are_drawn_on_a_scale_from_0_to_1() -> None:
    images = graded().astype(np.float32) / 255
    figure = prediction_grid(images, LABELS, PROBABILITIES, PETS)
    assert tiles(figure)[0].images[0].get_clim() == (0, 1)
    with pytest.raises(ValueError, match="pass the images before standardization"):
        prediction_grid(images - 0.5, LABELS, PROBABILITIES, PETS)


def test_mistakes_are_the_wrong_ones_most_confident_first() -> None:
    figure = confident_mistakes(graded(), LABELS, PROBABILITIES, PETS)
    assert [axes.images[0].get_array().max() for axes in tiles(figure)] == [2, 1]
    assert all(is_framed(axes) for axes in tiles(figure))
    assert len(tiles(confident_mistakes(graded(), LABELS, PROBABILITIES, PETS, count=1))) == 1


def test_a_figure_without_mistakes_says_so() -> None:
    figure = confident_mistakes(graded(), PROBABILITIES.argmax(-1), PROBABILITIES, PETS)
    assert not tiles(figure)
    assert "no mistakes in 4 examples" in [text.get_text() for text in figure.texts]


@pytest.mark.usefixtures("without_shape_checks")
def test_grid_refuses_invalid_arguments() -> None:
    with pytest.raises(ValueError, match="not fit 4 images of 2 classes"):
        prediction_grid(graded(), LABELS[:3], PROBABILITIES, PETS)
    with pytest.raises(ValueError, match="1 or 3 channels"):
        prediction_grid(graded(channels=2), LABELS, PROBABILITIES, PETS)
    with pytest.raises(ValueError, match="columns is 0"):
        prediction_grid(graded(), LABELS, PROBABILITIES, PETS, columns=0)


# first_layer_filters


def weights_shown(figure: Figure) -> list[float]:
    """The different weights of the mosaic, sorted; the gaps are masked."""
    return sorted(set(np.ma.masked_invalid(figure.axes[0].images[0].get_array()).compressed()))


@pytest.mark.parametrize("shape", [(3, 3, 1, 6), (5, 5, 3, 4), (8, 8, 1, 2)])
def test_filters_show_every_weight_on_a_scale_symmetric_about_zero(shape: tuple) -> None:
    kernel = np.random.default_rng(0).normal(1, 1, shape).astype(np.float32)
    figure = first_layer_filters(kernel)
    np.testing.assert_array_equal(weights_shown(figure), np.sort(kernel.ravel()))
    limit = np.abs(kernel).max()
    np.testing.assert_allclose(figure.axes[0].images[0].get_clim(), (-limit, limit))
    assert figure.axes[1].get_ylabel() == "weight"


@pytest.mark.parametrize("image_shape", [(8, 8, 1), (28, 28, 1), (4, 6, 3)])
def test_a_dense_kernel_is_drawn_as_a_convolution_over_the_whole_image(image_shape: tuple) -> None:
    kernel = np.random.default_rng(0).normal(size=(*image_shape, 5)).astype(np.float32)
    dense = kernel.reshape(-1, 5)
    expected = first_layer_filters(kernel).axes[0].images[0].get_array()
    shown = first_layer_filters(dense, image_shape).axes[0].images[0].get_array()
    np.testing.assert_array_equal(np.ma.filled(shown, 99), np.ma.filled(expected, 99))


def test_a_filter_is_upright_and_its_channels_go_red_green_blue() -> None:
    kernel = np.arange(12, dtype=np.float32).reshape(2, 2, 3, 1)
    mosaic = np.ma.masked_invalid(first_layer_filters(kernel).axes[0].images[0].get_array())
    inside = mosaic[~mosaic.mask.all(1)][:, ~mosaic.mask.all(0)]
    step = inside.shape[0] // 2
    assert inside[::step, ::step].tolist() == [[0, 3, 1, 4, 2, 5], [6, 9, 7, 10, 8, 11]]


def test_only_the_first_filters_are_drawn() -> None:
    kernel = np.arange(1, 101, dtype=np.float32).reshape(1, 1, 1, 100)
    figure = first_layer_filters(kernel, count=64)
    assert weights_shown(figure) == list(range(1, 65))
    assert figure.axes[0].get_xlabel() == "64 of 100 filters"


def test_a_kernel_of_zeros_can_be_drawn(tmp_path) -> None:
    figure = first_layer_filters(np.zeros((3, 3, 1, 2), np.float32))
    assert figure.axes[0].images[0].get_clim() == (-1, 1)
    save(figure, tmp_path / "zeros.png")


def test_kernels_of_no_first_layer_are_refused() -> None:
    with pytest.raises(ValueError, match="has 16 input channels, expected 1 or 3"):
        first_layer_filters(np.zeros((3, 3, 16, 2), np.float32))
    with pytest.raises(ValueError, match="image_shape is None"):
        first_layer_filters(np.zeros((64, 2), np.float32))
    with pytest.raises(ValueError, match="with product 64"):
        first_layer_filters(np.zeros((64, 2), np.float32), (7, 7, 1))
    with pytest.raises(ValueError, match=re.escape("shape (3,)")):
        first_layer_filters(np.zeros(3, np.float32))


# reliability_diagram


def bins() -> Reliability:
    probabilities = np.array([[0.65, 0.35], [0.75, 0.25], [0.9, 0.1], [0.9, 0.1]])
    return reliability(probabilities, np.array([0, 1, 0, 0]), bins=5)


def test_reliability_draws_accuracy_gap_and_counts_of_filled_bins() -> None:
    upper, lower = reliability_diagram(bins()).axes
    accuracy, gap = upper.containers
    assert [bar.get_height() for bar in accuracy] == pytest.approx([0.5, 1.0])
    assert [bar.get_x() for bar in accuracy] == pytest.approx([0.6, 0.8])
    assert [bar.get_y() + bar.get_height() for bar in gap] == pytest.approx([0.7, 0.9])
    (counts,) = lower.containers
    assert [bar.get_height() for bar in counts] == [2, 2]
    assert lower.get_yscale() == "log"
    assert upper.get_lines()[0].get_xydata().tolist() == [[0, 0], [1, 1]]
    assert upper.get_xlim() == upper.get_ylim() == (0, 1)
    assert upper.get_title("right") == "expected calibration error 0.150"


# save, and matplotlib's global state


def test_a_saved_figure_is_a_png_at_150_dots_per_inch(tmp_path) -> None:
    figure = reliability_diagram(bins(), title="reliability")
    path = save(figure, tmp_path / "figures" / "reliability.png")
    assert path == tmp_path / "figures" / "reliability.png"
    with Image.open(path) as image:
        image.load()
        assert image.format == "PNG"
        assert image.size == tuple(round(150 * inches) for inches in figure.get_size_inches())
        # Ink on white: not an empty page.
        assert 0.02 < (np.asarray(image.convert("L")) < 200).mean() < 0.9
    assert [file.name for file in path.parent.iterdir()] == ["reliability.png"]


def test_a_failed_save_leaves_the_old_figure_and_no_draft(tmp_path, monkeypatch) -> None:
    path = tmp_path / "figure.png"
    path.write_bytes(b"old")
    figure = Figure()

    def broken(file, **options) -> None:
        file.write_bytes(b"half a fig")
        raise OSError("disk full")

    monkeypatch.setattr(figure, "savefig", broken)
    with pytest.raises(OSError, match="disk full"):
        save(figure, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_only_png_is_written(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"expected a name that ends in \.png"):
        save(Figure(), tmp_path / "figure.pdf")


def test_global_settings_are_neither_changed_nor_needed() -> None:
    before = dict(mpl.rcParams)
    with mpl.rc_context({"axes.facecolor": "black", "font.size": 30, "image.cmap": "jet"}):
        figure = confusion_matrix(np.eye(2, dtype=int), PETS)
        assert to_hex(figure.axes[0].get_facecolor()) == "#ffffff"
        assert {text.get_fontsize() for text in figure.axes[0].texts} == {9.0}
    assert dict(mpl.rcParams) == before


def test_importing_plots_does_not_import_pyplot() -> None:
    code = "import sys, dl_jax.plots; print('matplotlib.pyplot' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"


def test_evaluation_imports_neither_jax_nor_matplotlib() -> None:
    code = "import sys, dl_jax.evaluation; print({'jax', 'matplotlib'} & sys.modules.keys())"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"
