"""A folder of images for each class, read with Pillow.

The layout is that of TFDS's `ImageFolder`, which itself needs TensorFlow.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from dl_jax.data.images.source import Examples, ImageSize, Source, differ_in_size, to_pixels
from dl_jax.errors import UsageError

SUFFIXES = (".png", ".jpg", ".jpeg")
SPLIT_NAMES = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
GRAY = {"1", "L", "LA"}
DEEP = {"I", "F", "I;16", "I;16B", "I;16L", "I;16N"}
Files = dict[str, list[tuple[Path, int]]]


def looks_like_folder(name: str) -> bool:
    """Whether a name can only be a path: it is absolute, or begins with `.` or `~`."""
    return name in (".", "..") or name.startswith(("/", "./", "../", "~")) or name.endswith("/")


def find_folder(name: str) -> Source:
    """The images under a folder, `FOLDER/CLASS/*.png` or `FOLDER/train/CLASS/*.png`.

    Files that end in .png, .jpg or .jpeg are images; others are left out, as are hidden ones. The
    classes are the names of their folders, sorted.

    Raises:
        UsageError: there is no such folder, it cannot be read, it holds no images, or fewer than
            two classes; or a class of another split has no training images.
    """
    try:
        folder = Path(name).expanduser()
        divided = _split_folders(folder)
        images = {split: _by_class(path) for split, path in divided.items()}
        paths = [p for by_class in images.values() for found in by_class.values() for p in found]
        fingerprint = _fingerprint(folder, paths)
    except (OSError, RuntimeError) as error:  # RuntimeError: an unknown user after ~
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"the folder of images {name!r} cannot be read ({reason})") from error
    classes = tuple(images["train"]) if "train" in images else ()
    if not paths:
        raise UsageError(
            f"there are no images in {folder}, expected FOLDER/CLASS/*.png (or .jpg, .jpeg), or "
            "FOLDER/train/CLASS/*.png and FOLDER/test/CLASS/*.png"
        )
    for split, by_class in images.items():
        alien = sorted(set(by_class) - set(classes))
        if alien and "train" in images:
            raise UsageError(
                f"{divided[split] / alien[0]} is a class without training images, expected one of "
                f"{', '.join(classes)}"
            )
    if len(classes) < 2:
        found = f"only the class {classes[0]!r}" if classes else "no class"
        raise UsageError(
            f"there is {found} in {divided.get('train', folder)}, expected a folder of images for "
            "each of at least two classes"
        )
    labeled = {
        split: [(path, classes.index(label)) for label, paths in by_class.items() for path in paths]
        for split, by_class in images.items()
    }

    def open_split(split: str, image_size: ImageSize | None) -> Examples:
        return _examples(name, labeled, split, image_size)

    sizes = {split: len(found) for split, found in labeled.items()}
    return Source(name, classes, sizes, fingerprint, open_split)


def _split_folders(folder: Path) -> dict[str, Path]:
    """The folder of each split; a folder that is not divided is all training examples."""
    folders = {
        SPLIT_NAMES[path.name]: path for path in _folders(folder) if path.name in SPLIT_NAMES
    }
    divided = "train" in folders and bool(_folders(folders["train"]))
    return folders if divided else {"train": folder}


def _by_class(folder: Path) -> dict[str, list[Path]]:
    """Images of each class, sorted; folders without images are no classes."""
    found = {path.name: _images(path) for path in _folders(folder)}
    return {name: paths for name, paths in found.items() if paths}


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(2, "there is no such folder")
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _images(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )


def _fingerprint(folder: Path, paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        stat = path.stat()
        digest.update(f"{path.relative_to(folder)} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _examples(name: str, files: Files, split: str, image_size: ImageSize | None) -> Examples:
    heads = [_head(path) for found in files.values() for path, _ in found]  # all splits agree
    channels = 1 if {mode for _, mode in heads} <= GRAY else 3
    if image_size is None and len({size for size, _ in heads}) > 1:
        raise differ_in_size(name)
    width, height = heads[0][0] if image_size is None else image_size[::-1]
    shape = (height, width, channels)

    def pixels(path: Path) -> np.ndarray:
        try:
            with Image.open(path) as image:
                return to_pixels(image, channels, image_size).reshape(shape)  # no broadcasting
        except Exception as error:
            raise _unreadable(path, error) from error

    def images(indices: Sequence[int]) -> np.ndarray:
        return np.stack([pixels(files[split][index][0]) for index in indices])

    def labels(indices: Sequence[int]) -> np.ndarray:
        return np.array([files[split][index][1] for index in indices], np.int32)

    return Examples((len(files[split]), *shape), images, labels)


def _head(path: Path) -> tuple[tuple[int, int], str]:
    """Width, height and mode of an image, without decoding it."""
    try:
        with Image.open(path) as image:
            size, mode = image.size, image.mode
    except Exception as error:
        raise _unreadable(path, error) from error
    if mode in DEEP:
        raise UsageError(f"{path} has more than 8 bits a channel, expected 8")
    return size, mode


def _unreadable(path: Path, error: Exception) -> UsageError:
    reason = getattr(error, "strerror", None) or "it is damaged, or no image"
    return UsageError(
        f"the image {path} cannot be read ({reason}): replace or remove it, or make it readable"
    )
