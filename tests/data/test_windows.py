"""Windows of a long text: those that slicing gives, on the host and in a compiled step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.data import Contiguous, Dataset, Shuffled, Windows, grouped_by_length, shuffled
from dl_jax.data import dataset as dataset_module
from dl_jax.data.dataset import LazyRows
from dl_jax.errors import UsageError

TOKENS = np.random.default_rng(0).integers(0, 60_000, 50).astype(np.uint16)
FEATURES = np.arange(100, dtype=np.float32).reshape(50, 2)


def text(window: int = 8, stride: int | None = None, tokens=TOKENS, **options) -> Windows:
    return Windows("text", "train", {"tokens": tokens}, window, stride, **options)


def sliced(array: np.ndarray, window: int, stride: int) -> np.ndarray:
    """By the loop that anyone would write, `[windows, window + 1, ...]`."""
    starts = range(0, len(array) - window, stride)
    return np.stack([array[start : start + window + 1] for start in starts])


@pytest.mark.parametrize(
    ("window", "stride"), [(8, None), (7, None), (49, None), (1, None), (8, 3), (8, 1), (5, 11)]
)
def test_windows_are_slices(window: int, stride: int | None, tmp_path):
    expected = sliced(TOKENS, window, stride or window)
    np.save(tmp_path / "tokens.npy", TOKENS)
    for tokens in (
        TOKENS,
        np.load(tmp_path / "tokens.npy", mmap_mode="r"),
        LazyRows(np.concatenate([TOKENS, TOKENS]), np.arange(50, 100)),
    ):
        arrays = {"tokens": tokens, "features": FEATURES}
        dataset = Windows("text", "train", arrays, window, stride, ordering=shuffled)
        assert dataset.size == len(dataset) == len(expected)
        order = Shuffled(len(expected), 1, 0, (3,)).batch(1)
        for index in (np.arange(len(expected)), order["index"], np.zeros((2, 0), np.int32)):
            batch = dataset.batch(index)
            assert batch["tokens"].dtype == np.uint16
            np.testing.assert_array_equal(batch["tokens"], expected[index])
            np.testing.assert_array_equal(
                batch["features"], sliced(FEATURES, window, stride or window)[index]
            )
        on_device = {"tokens": jnp.asarray(TOKENS), "features": jnp.asarray(FEATURES)}
        compiled = jax.jit(dataset.gather)(on_device, order)
        for name, array in dataset.batch(order).items():
            assert compiled[name].dtype == array.dtype
            np.testing.assert_array_equal(compiled[name], array)


def test_windows_in_turn_are_the_text():
    """Each lane of a contiguous epoch is a passage: every token is the target of the one before."""
    dataset = text(window=4)
    order = dataset.order(3, 0)
    assert order == Contiguous(12, 3, 0)
    batches = [dataset.batch(order.batch(step))["tokens"] for step in range(4)]
    inputs = np.concatenate([batch[:, :-1] for batch in batches], axis=1)
    targets = np.concatenate([batch[:, 1:] for batch in batches], axis=1)
    np.testing.assert_array_equal(inputs.ravel(), TOKENS[:48])
    np.testing.assert_array_equal(targets.ravel(), TOKENS[1:49])


def test_places_beyond_an_int32_are_reached_on_the_host(tmp_path):
    """A text of more than 2**31 tokens, of which only the last window is stored."""
    window = 2**20
    tokens = np.memmap(tmp_path / "tokens", np.uint8, "w+", shape=(2**31 + window + 1,))
    tokens[-window - 1 :] = np.arange(window + 1) % 251
    dataset = text(window=window, tokens=tokens)
    assert dataset.size == 2**11 + 1
    last = dataset.batch(np.array([2**11]))["tokens"]
    np.testing.assert_array_equal(last[0], tokens[-window - 1 :])
    shapes = {"tokens": jax.ShapeDtypeStruct(tokens.shape, np.uint8)}
    with pytest.raises(UsageError, match="has 2148532225 tokens, .*: stream it with dataset_on_"):
        jax.eval_shape(dataset.gather, shapes, {"index": np.zeros(1, np.int32)})


def test_evaluation_sees_every_window_once():
    dataset = text(window=8)
    batches = list(dataset.evaluation_batches(4))
    assert [batch["tokens"].shape for batch in batches] == [(4, 9), (4, 9)]
    assert set(batches[0]) == {"tokens", "index", "mask"}
    seen = np.concatenate([batch["tokens"][batch["mask"] == 1] for batch in batches])
    np.testing.assert_array_equal(seen, sliced(TOKENS, 8, 8))


@pytest.mark.parametrize("stride", [None, 3])
@pytest.mark.parametrize("lazy", [False, True])
def test_consecutive_windows_are_a_subset(stride: int | None, lazy: bool):
    tokens = LazyRows(TOKENS, np.arange(50)) if lazy else TOKENS
    dataset = text(8, stride, tokens, ordering=shuffled)
    part = dataset.subset(np.arange(2, 5), "validation")
    assert (part.split, part.size) == ("validation", 3)
    np.testing.assert_array_equal(
        part.batch(np.arange(3))["tokens"], dataset.batch(np.arange(2, 5))["tokens"]
    )
    assert dataset.take(4).size == 4
    assert dataset.take(1000).size == dataset.size


def test_a_subset_reads_nothing():
    assert np.shares_memory(text().take(3).arrays["tokens"], TOKENS)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: text(window=50), r"train split of text has 50 tokens, .* least 51 \(window"),
        (lambda: text(window=0), "window is 0, expected at least 1"),
        (lambda: text(stride=0), "stride is 0, expected at least 1"),
        (lambda: text(stride=4), "stride is 4, expected the window of 8 .* ordering=shuffled"),
        (
            lambda: text(stride=4, ordering=lambda d, *a: Contiguous(d.size, *a)).order(2, 0),
            "stride is 4, expected the window of 8",
        ),
        (lambda: text(tokens=TOKENS.astype(float)), r"are float64\[50\], expected integers"),
        (lambda: text(tokens=TOKENS.reshape(25, 2)), r"are uint16\[25, 2\], expected integers"),
        (lambda: Windows("t", "train", {"words": TOKENS}, 8), "has words, expected .* 'tokens'"),
        (
            lambda: Windows("t", "train", {"tokens": TOKENS, "x": TOKENS[:9]}, 8),
            "has 50 of 'tokens', 9 of 'x'",
        ),
        (lambda: text().subset(np.array([0, 2])), "windows of 'text' must be at least one"),
        (lambda: text().take(0), "windows of 'text' must be at least one"),
        (lambda: text().order(7, 0), "batch_size is 7, expected .* the 6 examples"),
    ],
)
def test_what_cannot_be_cut_is_refused(make, said: str):
    with pytest.raises(UsageError, match=said):
        make()


def test_large_texts_are_streamed(monkeypatch: pytest.MonkeyPatch):
    assert text().fits_on_device
    monkeypatch.setattr(dataset_module, "RESIDENT_BYTES", 99)
    assert not text().fits_on_device
    assert isinstance(text(), Dataset)


def test_an_ordering_of_something_else_is_refused():
    arrays = {"tokens": TOKENS, "length": np.arange(50)}
    grouped = Windows("text", "train", arrays, 8, ordering=grouped_by_length("length"))
    with pytest.raises(UsageError, match="visits index 4., expected less than its size 6"):
        grouped.order(5, 0)
