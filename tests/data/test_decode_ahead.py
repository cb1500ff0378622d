"""Sets whose images are decoded when they are needed: the same examples, read ahead by threads."""

from pathlib import Path

import chex
import numpy as np
import pytest
from PIL import Image

from dl_jax.data import dataset as dataset_module
from dl_jax.data import evaluation_batches, image_statistics, load_splits, stream
from dl_jax.data.images.source import EncodedImages
from dl_jax.errors import UsageError
from tests.prepared import prepare


@pytest.fixture(autouse=True)
def nothing_fits_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_module, "RESIDENT_BYTES", 10)


def write_folder(root: Path) -> str:
    rng = np.random.default_rng(0)
    for label in ("cat", "dog"):
        for index in range(20):
            path = root / "pets" / label / f"{index:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (9, 8, 3), dtype=np.uint8)).save(path)
    return str(root / "pets")


def write_records(root: Path) -> str:
    prepare(root)
    return "tiny_images"


@pytest.mark.parametrize("write", [write_folder, write_records])
@pytest.mark.parametrize("size", [None, (4, 4)])
def test_examples_are_those_of_the_cache(tmp_path: Path, write, size):
    name, cache = write(tmp_path), tmp_path / "cache"
    given = {"image_size": size, "cache_dir": cache}
    ahead = load_splits(name, tmp_path, decode_ahead=True, **given)
    assert not list(cache.rglob("image.npy"))  # labels alone are kept
    decoded = load_splits(name, tmp_path, **given)
    for split, dataset in ahead.items():
        images = dataset.arrays["image"]
        while isinstance(images, dataset_module.LazyRows):
            images = images.array
        assert isinstance(images, EncodedImages)
        assert dataset.arrays["image"].nbytes == decoded[split].arrays["image"].nbytes
        for both in zip(
            evaluation_batches(dataset, 7), decoded[split].evaluation_batches(7), strict=True
        ):
            chex.assert_trees_all_equal(*both)
    chex.assert_trees_all_equal(*(image_statistics(d["train"]) for d in (ahead, decoded)))
    order = ahead["train"].order(4, 0, (3,))  # three replicas, each with its own examples
    steps = [stream(data["train"], order, 5, 9) for data in (ahead, decoded)]
    for both in zip(*steps, strict=True):
        assert both[0]["image"].shape[:2] == (3, 4)
        chex.assert_trees_all_equal(*both)


def test_an_image_that_cannot_be_decoded_is_named(tmp_path: Path):
    name = write_folder(tmp_path)
    train = load_splits(name, decode_ahead=True, cache_dir=tmp_path / "cache")["train"]
    for path in Path(name).rglob("*.png"):
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(UsageError, match=r"\.png cannot be read \(it is damaged, or no image\)"):
        next(stream(train, train.order(4, 0), 0, 9))


def test_statistics_of_very_many_images_are_of_some(monkeypatch: pytest.MonkeyPatch):
    from dl_jax.data.images import statistics

    train = load_splits("digits")["train"]
    monkeypatch.setattr(statistics, "MOST", 500)
    monkeypatch.setattr(statistics, "BLOCK", 64)
    some, every = image_statistics(train), np.asarray(train.arrays["image"][:])[::3] / 255
    np.testing.assert_allclose(some, [every.mean((0, 1, 2)), every.std((0, 1, 2))], rtol=1e-6)
