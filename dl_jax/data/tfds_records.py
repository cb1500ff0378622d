"""Datasets prepared by TensorFlow Datasets, read without TensorFlow.

Only what lies on disk is opened: nothing is ever downloaded.
"""

import functools
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordReader

from dl_jax.data.tfds_folder import (
    Wanted,
    check_feature_classes,
    data_directory,
    fingerprint_of,
    newest_version,
)
from dl_jax.errors import UsageError

LABELS_SEEN = 100
"""Labels, spread over a split, by which one knows whether its labels are withheld."""
NAME_PATTERN = r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}"
KINDS: dict[str, Any] = {
    "image": tfds.features.Image,
    "label": tfds.features.ClassLabel,
    "text": tfds.features.Text,
}


@dataclass(frozen=True)
class Prepared:
    """One dataset found on disk.

    Attributes:
        name: as TFDS writes it, `cifar10` or `glue/sst2`.
        folder: holds its records and `dataset_info.json`.
        builder: TFDS's.
        features: TFDS's, by name; empty where they have none.
        supervised: names of the features that are inputs and targets, if it says so.
        splits: name of each split to its number of records.
        fingerprint: changes whenever the files do.
    """

    name: str
    folder: Path
    builder: Any
    features: dict[str, Any]
    supervised: tuple[str, str] | None
    splits: dict[str, int]
    fingerprint: str

    def named(self, kind: str) -> list[str]:
        """Names of the features of a kind of `KINDS`."""
        return [name for name, each in self.features.items() if isinstance(each, KINDS[kind])]

    def records(self, split: str, *, encoded: Sequence[str] = ()) -> "Records":
        """The records of a split.

        Args:
            split: name of the split.
            encoded: features that are given as the bytes that are stored.

        Raises:
            UsageError: a file is missing, unreadable, corrupt or another copy's.
        """
        info = self.builder.info
        where = f"dataset {self.name!r} in {self.folder}"
        if info.file_format.value != "array_record":
            raise UsageError(
                f"{where} is stored as {info.file_format.value}: prepare it again with "
                "--file_format=array_record"
            )
        _check_shards(self, split)
        skip: Any = {name: tfds.decode.SkipDecoding() for name in encoded}
        try:
            return Records(self, split, self.builder.as_data_source(split, decoders=skip))
        except Exception as error:
            raise UsageError(
                f"split {split!r} of {where} cannot be opened ({first_line(error)}): prepare it "
                "again with --file_format=array_record"
            ) from error

    def hides(self, split: str, label: str) -> bool:
        """Whether the labels of a split are withheld: -1, as far as one looks."""
        if not self.splits.get(split):
            return False
        encoded = self.named("image")
        try:
            records = self.records(split, encoded=encoded)
            count = len(records.source)
            places = np.linspace(0, count - 1, min(count, LABELS_SEEN)).astype(int)
            return all(int(records.read([int(place)])[0][label]) == -1 for place in places)
        except OSError as error:
            raise _unreadable(self.name, error) from error


@dataclass(frozen=True)
class Records:
    """The records of one split, read when asked for; by several threads at once."""

    prepared: Prepared
    split: str
    source: Any

    def read(self, indices: Sequence[int]) -> Sequence[dict]:
        """Some records.

        Raises:
            UsageError: one of them is corrupt.
        """
        indices = list(indices)
        try:
            return self.source.__getitems__(indices)
        except Exception:
            for index in indices:  # find the record that cannot be read
                try:
                    self.source[index]
                except Exception as error:
                    raise self.corrupt(index, error) from error
            raise

    def named(self, index: int) -> str:
        """What a message calls a record."""
        prepared = self.prepared
        return f"record {index} of {prepared.name!r}, split {self.split!r}, in {prepared.folder}"

    def corrupt(self, index: int, error: Exception) -> UsageError:
        """The error of a record that cannot be read or decoded."""
        return UsageError(
            f"{self.named(index)} is corrupt ({first_line(error)}): delete the folder "
            "and prepare the dataset again"
        )


def is_known(name: str, data_dir: str | os.PathLike[str] | None) -> bool:
    """Whether TFDS has a dataset of this name, or one lies prepared under `data_dir`."""
    base = name.split("/")[0]
    return base in _known() or (data_directory(data_dir) / base).is_dir()


def find(name: str, data_dir: str | os.PathLike[str] | None, wanted: Wanted) -> Prepared:
    """The newest version of a dataset prepared under `data_dir`.

    Raises:
        UsageError: the name is unknown, the folder is missing or cannot be read, or the dataset is
            not in it.
    """
    if not all(re.fullmatch(NAME_PATTERN, part) for part in name.split("/")):
        listed = ", ".join(repr(each) for each in wanted.embedded[:1])
        otherwise = f", or {wanted.otherwise}" if wanted.otherwise else ""
        raise UsageError(
            f"dataset is {name!r}, expected {listed}, a TFDS name such as 'mnist' or 'glue/sst2'"
            f"{otherwise}"
        )
    root = data_directory(data_dir)
    try:
        return _open(name, newest_version(name, root, _known, wanted))
    except OSError as error:
        raise _unreadable(name, error) from error


def _open(name: str, folder: Path) -> Prepared:
    check_feature_classes(name, folder)
    try:
        builder: Any = tfds.builder_from_directory(folder)
        info = builder.info
        features: Any = info.features
        keys: Any = info.supervised_keys or ()
        splits = {split: each.num_examples for split, each in info.splits.items()}
    except OSError:
        raise
    except Exception as error:
        raise UsageError(
            f"dataset {name!r} in {folder} cannot be opened ({first_line(error)}): prepare it again"
        ) from error
    found: dict[str, Any] = dict(features) if hasattr(features, "items") else {}
    pair = len(keys) == 2 and all(isinstance(key, str) for key in keys)
    return Prepared(
        name, folder, builder, found, tuple(keys) if pair else None, splits, fingerprint_of(folder)
    )


def _check_shards(prepared: Prepared, split: str) -> None:
    """Raise unless each file of a split holds the records that `dataset_info.json` counts.

    Raises:
        UsageError: a file is missing, unreadable, corrupt or another copy's.
    """
    info: Any = prepared.builder.info.splits[split]
    for path, length in zip(info.filepaths, info.shard_lengths, strict=True):
        try:
            with open(path, "rb"):
                pass
            held = ArrayRecordReader(str(path)).num_records()
        except FileNotFoundError as error:
            raise UsageError(
                f"the file {path} is missing: put it back, or prepare the dataset again"
            ) from error
        except OSError as error:
            raise _unreadable(prepared.name, error) from error
        except Exception as error:
            raise UsageError(
                f"the file {path} is corrupt ({first_line(error)}): delete the folder "
                f"{prepared.folder} and prepare the dataset again"
            ) from error
        if held == 0 and length:
            raise UsageError(
                f"the file {path} is corrupt (it holds no readable record): delete the folder "
                f"{prepared.folder} and prepare the dataset again"
            )
        if held != length:
            raise UsageError(
                f"the file {path} holds {held} records, expected {length} as dataset_info.json "
                "beside it says: they belong to different copies of the dataset, restore one"
            )


def _unreadable(name: str, error: OSError) -> UsageError:
    return UsageError(
        f"dataset {name!r} cannot be read ({error.strerror}: {error.filename}): make it readable"
    )


@functools.cache
def _known() -> list[str]:
    return tfds.list_builders(with_community_datasets=False)


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
