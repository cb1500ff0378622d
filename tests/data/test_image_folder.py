"""Folders of images for each class."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dl_jax.data import load, load_splits
from dl_jax.errors import UsageError

LAYOUTS = {
    "whole": ("",),
    "divided": ("train/", "test/"),
    "in three": ("train/", "val/", "test/"),
}


def write(
    path: Path, mode: str = "L", shape: tuple[int, int] = (5, 4), seed: int = 0
) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = {"L": (), "RGB": (3,), "RGBA": (4,)}[mode]
    pixels = np.random.default_rng(seed).integers(0, 256, (*shape, *channels), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def folder_of(root: Path, parts=("train/", "test/"), classes=("cat", "dog"), count: int = 12):
    """A folder, and its pixels with their labels, part by part."""
    written: dict[str, list] = {part: [] for part in parts}
    for part in parts:
        for label, name in enumerate(classes):
            for index in range(count):
                path = root / "pets" / f"{part}{name}/{index:02}.png"
                seed = hash((parts.index(part), label, index)) % 2**32
                written[part].append((write(path, seed=seed).tobytes(), label))
    return root / "pets", written


def examples(dataset) -> list[tuple[bytes, int]]:
    images, labels = dataset.arrays["image"][:], dataset.arrays["label"][:]
    return [(image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)]


def splits_of(folder: Path | str, cache: Path, **options):
    return load_splits(str(folder), cache_dir=cache / "cache", **options)


@pytest.mark.parametrize("parts", LAYOUTS.values(), ids=LAYOUTS)
def test_every_image_is_in_one_split_with_its_label(tmp_path: Path, parts):
    folder, written = folder_of(tmp_path, parts)
    data = splits_of(folder, tmp_path, validation_fraction=0.25)
    assert data["train"].classes == ("cat", "dog")
    assert data["train"].image_shape == (5, 4, 1)
    every = [example for dataset in data.values() for example in examples(dataset)]
    assert sorted(every) == sorted(example for part in written.values() for example in part)
    if "test/" in parts:
        assert examples(data["test"]) == written["test/"]
    if "val/" in parts:
        assert examples(data["validation"]) == written["val/"]


@pytest.mark.parametrize("name", ["pets", "./pets", "pets/", "../here/pets", "."])
def test_ways_to_write_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    folder, written = folder_of(tmp_path / "here")
    monkeypatch.chdir(folder if name == "." else tmp_path / "here")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "nothing"))
    assert examples(load(name, "test", cache_dir=tmp_path / "cache")) == written["test/"]


def test_the_name_of_a_dataset_is_not_taken_for_a_folder(tmp_path: Path, monkeypatch):
    folder, _ = folder_of(tmp_path)
    folder.rename(tmp_path / "mnist")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="'mnist' cannot be read, .*tfds build mnist"):
        load("mnist", "test", tmp_path / "cache")
    assert len(load("./mnist", "test", cache_dir=tmp_path / "cache")) == 24


def test_a_new_image_is_noticed(tmp_path: Path):
    folder, _ = folder_of(tmp_path)
    splits_of(folder, tmp_path)
    write(folder / "test/dog/new.png")
    assert len(splits_of(folder, tmp_path)["test"]) == 25


def test_images_that_differ_are_scaled_to_one_size_and_color(tmp_path: Path):
    folder, _ = folder_of(tmp_path)
    write(folder / "train/cat/color.JPG", "RGB", (7, 9))
    with pytest.raises(UsageError, match="differ in size: choose the size"):
        splits_of(folder, tmp_path)
    data = splits_of(folder, tmp_path, image_size=(6, 8))
    assert data["train"].image_shape == data["test"].image_shape == (6, 8, 3)
    assert len(data["train"]) + len(data["validation"]) == 25


def test_files_that_are_no_images_by_name_are_left_out(tmp_path: Path):
    folder, written = folder_of(tmp_path)
    (folder / "train/cat/notes.txt").write_text("")
    (folder / "train/cat/._00.png").write_text("")
    (folder / "train/.hidden").mkdir()
    (folder / "train/empty").mkdir()
    data = splits_of(folder, tmp_path)
    assert len(data["train"]) + len(data["validation"]) == len(written["train/"])
    assert data["train"].classes == ("cat", "dog")


def test_a_class_may_be_called_train(tmp_path: Path):
    folder, _ = folder_of(tmp_path, ("",), ("car", "train"))
    assert splits_of(folder, tmp_path)["test"].classes == ("car", "train")


def broken(folder: Path) -> None:
    (folder / "train/cat/00.png").write_bytes(b"no image")


def cut(folder: Path) -> None:
    path = folder / "train/cat/00.png"
    path.write_bytes(path.read_bytes()[:-30])


def deep(folder: Path) -> None:
    Image.fromarray(np.full((5, 4), 999, np.uint16)).save(folder / "train/cat/00.png")


def emptied(folder: Path) -> None:
    for path in folder.rglob("*.png"):
        path.unlink()


def with_an_alien(folder: Path) -> None:
    write(folder / "test/dogs/00.png")


def with_one_class(folder: Path) -> None:
    for path in folder.rglob("dog/*.png"):
        path.unlink()


def without_training(folder: Path) -> None:
    for path in folder.rglob("train/*/*.png"):
        path.unlink()


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (broken, r"the image .*train/cat/00\.png cannot be read"),
        (cut, r"the image .*train/cat/00\.png cannot be read"),
        (deep, r"train/cat/00\.png has more than 8 bits"),
        (emptied, "there are no images in .*pets, expected FOLDER/CLASS"),
        (with_an_alien, "test/dogs is a class without training images, expected one of cat, dog"),
        (with_one_class, "there is only the class 'cat' in .*train, expected .* at least two"),
        (without_training, "without training images|no class"),
    ],
)
def test_a_folder_that_cannot_be_used_is_said_in_words(tmp_path: Path, harm, said: str):
    folder, _ = folder_of(tmp_path)
    harm(folder)
    with pytest.raises(UsageError, match=said):
        splits_of(folder, tmp_path)


def test_a_folder_that_does_not_exist(tmp_path: Path):
    with pytest.raises(UsageError, match="cannot be read .there is no such folder"):
        splits_of(tmp_path / "nothing", tmp_path)
