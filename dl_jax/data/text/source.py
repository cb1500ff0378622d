"""What loading texts needs to know of them, wherever they are stored."""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from dl_jax.data.text.sentiment import CLASSES, sentiment_texts
from dl_jax.data.tfds_folder import Wanted
from dl_jax.errors import UsageError

EMBEDDED = ("sentiment",)
WANTED = Wanted(EMBEDDED, "a text classification dataset such as 'imdb_reviews'")


class Texts(NamedTuple):
    """Labeled texts of one stored split."""

    texts: list[str]
    labels: list[int]


@dataclass(frozen=True)
class Source:
    """Labeled texts that are stored.

    Attributes:
        name: as given.
        classes: names of the labels, in their order.
        splits: name of each stored split to its number of texts.
        fingerprint: changes whenever the texts do.
        read: `read(split)` gives the texts of a split.
        hidden: splits whose labels are withheld: all are -1.
    """

    name: str
    classes: tuple[str, ...]
    splits: Mapping[str, int]
    fingerprint: str
    read: Callable[[str], Texts]
    hidden: frozenset[str] = frozenset()


def find(name: str, data_dir: str | os.PathLike[str] | None) -> Source:
    """The texts of a name.

    Raises:
        UsageError: the name is unknown, the dataset is not prepared, or it is not one of texts with
            labels.
    """
    if name in EMBEDDED:
        texts = _generated()
        digest = hashlib.sha256(repr(texts).encode()).hexdigest()
        return Source(name, CLASSES, {"train": len(texts.texts)}, digest, lambda _: texts)
    from dl_jax.data import tfds_records  # half a second that `sentiment` need not wait for

    prepared = tfds_records.find(name, data_dir, WANTED)
    text, label = prepared.supervised or ("", "")
    texts, labels = prepared.named("text"), prepared.named("label")
    if text not in texts and len(texts) == 1:
        text = texts[0]
    if label not in labels and len(labels) == 1:
        label = labels[0]
    if text not in texts or label not in labels:
        raise UsageError(
            f"dataset {name!r} is not one of texts with labels: expected one text and one class "
            f"label, found {', '.join(sorted(prepared.features)) or 'no named features'}"
        )
    classes = tuple(prepared.features[label].names)

    def read(split: str) -> Texts:
        records = prepared.records(split)
        found = Texts([], [])
        for index, record in enumerate(records.read(range(len(records.source)))):
            where = records.named(index)
            found.texts.append(decoded(record[text], where))
            found.labels.append(int(record[label]))
            if not 0 <= found.labels[-1] < len(classes):
                raise UsageError(
                    f"{where} has the label {found.labels[-1]}, expected 0 to {len(classes) - 1}, "
                    f"as there are {len(classes)} classes"
                )
        return found

    hidden = frozenset({"test"} if prepared.hides("test", label) else ())
    return Source(name, classes, prepared.splits, prepared.fingerprint, read, hidden)


def decoded(stored: bytes | str, where: str) -> str:
    """The text of a record.

    Raises:
        UsageError: it is empty, or not UTF-8.
    """
    try:
        text = stored if isinstance(stored, str) else stored.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{where} is no text in UTF-8 ({error.reason} at byte {error.start}): convert it, and "
            "prepare the dataset again"
        ) from error
    if not text.strip():
        raise UsageError(f"{where} is empty: remove it, and prepare the dataset again")
    return text


@cache
def _generated() -> Texts:
    return Texts(*sentiment_texts())
