"""Where TFDS puts a prepared dataset, and what can be known of it without opening it."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dl_jax.errors import UsageError, nearest


def data_directory(data_dir: str | os.PathLike[str] | None) -> Path:
    """`data_dir`, or `$TFDS_DATA_DIR`, or TFDS's default folder."""
    chosen = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return Path(os.path.expanduser(chosen))


@dataclass(frozen=True)
class Wanted:
    """What kind of dataset is looked for, in the words of messages.

    Attributes:
        embedded: names of those that come with the installation.
        described: the kind, such as "an image classification dataset such as 'mnist'".
        otherwise: what else can be given, such as "a folder of images written as ./FOLDER"; "" is
            nothing.
    """

    embedded: tuple[str, ...]
    described: str
    otherwise: str = ""


def newest_version(
    name: str, root: Path, known: Callable[[], Sequence[str]], wanted: Wanted
) -> Path:
    """Folder of the newest version of a dataset prepared under `root`.

    Args:
        name: of the dataset, with its configuration if it has several.
        root: folder of prepared datasets.
        known: gives the names that TFDS knows; asked only if the dataset is not found.
        wanted: what is looked for.

    Raises:
        UsageError: there is none; says whether the name, the folder or the dataset is missing.
    """
    versions = sorted(_versions(root / name), key=_version_number)
    configs = [path.name for path in _folders(root / name) if _versions(path)]
    if not versions and len(configs) == 1:  # what TFDS calls by the name of the dataset alone
        return newest_version(f"{name}/{configs[0]}", root, known, wanted)
    if not versions and configs:
        raise UsageError(
            f"dataset {name!r} is prepared in {root} in the configurations {', '.join(configs)}: "
            f"choose one, as in '{name}/{configs[0]}'"
        )
    if not versions:
        raise _absence(name, root, known(), wanted)
    return versions[-1]


def check_feature_classes(name: str, folder: Path) -> None:
    """Raise unless all features are TFDS's own: opening others would import any module named.

    Raises:
        UsageError: names the class; or `features.json` is damaged.
    """
    try:
        described = json.loads((folder / "features.json").read_text(encoding="utf-8"))
        classes = list(_feature_classes(described))
    except FileNotFoundError:
        return
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"dataset {name!r} in {folder} cannot be opened, its features.json is damaged: "
            "prepare it again"
        ) from error
    for python_class in classes:
        if not python_class.startswith("tensorflow_datasets."):
            raise UsageError(
                f"dataset {name!r} in {folder} has a feature of the class {python_class!r}, "
                "expected one of tensorflow_datasets: others are not imported"
            )


def _feature_classes(node: Any) -> Iterator[str]:
    """Names of the classes in `features.json`, in all spellings that TFDS reads."""
    if isinstance(node, list):
        for value in node:
            yield from _feature_classes(value)
    elif isinstance(node, dict):
        for key, value in node.items():
            names_class = key in ("pythonClassName", "python_class_name")
            legacy = key == "type" and "content" in node
            if (names_class or legacy) and isinstance(value, str):
                yield value
            yield from _feature_classes(value)


def fingerprint_of(folder: Path) -> str:
    """Changes whenever a file of the folder does."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        stat = path.stat()
        digest.update(f"{path.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _versions(folder: Path) -> list[Path]:
    return [path for path in _folders(folder) if (path / "dataset_info.json").is_file()]


def _version_number(folder: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", folder.name))


def _absence(name: str, root: Path, known: Sequence[str], wanted: Wanted) -> UsageError:
    base = name.split("/")[0]
    on_disk = [path.name for path in _folders(root)]
    if base not in known and base not in on_disk:
        options = [*wanted.embedded, *known, *on_disk]
        listed = ", ".join(repr(each) for each in wanted.embedded)
        otherwise = f", or {wanted.otherwise}" if wanted.otherwise else ""
        return UsageError(
            f"dataset {name!r} is unknown, expected {listed}{', or' if not otherwise else ','} the "
            f"TFDS name of {wanted.described}{otherwise}{nearest(name, options)}"
        )
    advice = (
        f"prepare it with `pip install -e '.[prepare]'` and `tfds build {name} "
        f"--file_format=array_record --data_dir={root}`, or name the folder that holds it with "
        "--data-dir or TFDS_DATA_DIR"
    )
    if not root.is_dir():
        return UsageError(f"dataset {name!r} cannot be read, there is no folder {root}: {advice}")
    return UsageError(f"dataset {name!r} is not prepared in {root}: {advice}")
