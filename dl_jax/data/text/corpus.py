"""Long texts as windows of tokens: from a file, a folder, TFDS, or Python's own source."""

import hashlib
import json
import os
import sysconfig
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dl_jax.configuration import place_only
from dl_jax.data.cache import Allocate, cached
from dl_jax.data.dataset import Ordering, contiguous
from dl_jax.data.described import tokenizer_json
from dl_jax.data.music.abc_tunes import SUFFIX as ABC
from dl_jax.data.music.abc_tunes import read_tunes
from dl_jax.data.splits import SPLITS
from dl_jax.data.text.fit_tokenizer import Kind, fit_tokenizer, tokenizer_of
from dl_jax.data.text.source import decoded
from dl_jax.data.text.tokenizer import Tokenizer
from dl_jax.data.text_files import files_in, read_text
from dl_jax.data.tfds_folder import Wanted
from dl_jax.data.windows import Windows
from dl_jax.errors import UsageError, check_integer

WANTED = Wanted(
    ("python",), "a text such as 'tiny_shakespeare'", "a text file or a folder of them as ./PATH"
)
HELD_OUT = 20
"""A twentieth of a text is the validation split, and another the test split, the last two."""
PYTHON_LENGTH = 1_000_000
"""Characters of Python's own source, at most."""
ENCODING = 1
"""Version of the encoding: raise it with any change of the tokens that it gives."""
Documents = dict[str, list[str]]
"""Name of a split to its documents."""


@dataclass(frozen=True)
class Corpus(Windows):
    """A long text of one split, as windows of tokens.

    `arrays` holds `tokens`, int32 `[length]`, and `begins`, bool `[length]`, true where a document
    begins. A batch has windows of both, one longer than `window`.

    Attributes:
        tokenizer: that made the tokens.
    """

    tokenizer: Tokenizer = field(kw_only=True)
    ordering: Ordering = field(default=contiguous, kw_only=True)

    @property
    def files(self) -> dict[str, str]:
        """What a network of this text cannot do without, as `Run.describe` keeps it."""
        return {"tokenizer.json": tokenizer_json(self.tokenizer)}


@dataclass(frozen=True)
class CorpusData:
    """A long text."""

    dataset: str = "python"
    """`python` (the source of the standard library, as installed), the TFDS name of a text such as
    `tiny_shakespeare`, or a text file or folder of them, written as ./PATH. Each file is a
    document; of one in ABC notation (.abc), each tune."""
    tokenizer: Kind = "characters"
    """How texts are cut into tokens."""
    vocab_size: int = 512
    """Different tokens, at most: those that occur most often in the training text."""
    window: int = 128
    """Tokens that a network reads at once."""
    data_dir: Path | None = place_only(None)
    """Folder of prepared TFDS datasets; `$TFDS_DATA_DIR` where it is not given."""

    def __post_init__(self) -> None:
        check_integer("vocab_size", self.vocab_size, low=3)
        check_integer("window", self.window, low=1)

    def load(self, ordering: Ordering = contiguous, stride: int | None = None) -> dict[str, Corpus]:
        """Its splits `train`, `validation` and `test`.

        Args:
            ordering: as for `load_corpus`.
            stride: as for `load_corpus`.

        Raises:
            UsageError: the text is unknown, not prepared or cannot be read.
            RunError: the disk of the cache is full.
        """
        return load_corpus(
            self.dataset,
            self.data_dir,
            window=self.window,
            tokenizer=self.tokenizer,
            vocab_size=self.vocab_size,
            ordering=ordering,
            stride=stride,
        )


def load_corpus(
    name: str,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    window: int,
    tokenizer: Kind = "characters",
    vocab_size: int = 512,
    ordering: Ordering = contiguous,
    stride: int | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
) -> dict[str, Corpus]:
    """The splits `train`, `validation` and `test` of a long text.

    Splits of these names that a TFDS dataset has are kept; those that it lacks, and of another text
    both, are the last twentieths of the training text; tunes in ABC notation are not cut. The
    vocabulary is that of the training split; what it lacks is one unknown token, of byte pairs
    nothing.

    Args:
        name: as `CorpusData.dataset`.
        data_dir: folder of prepared TFDS datasets; `$TFDS_DATA_DIR` if None.
        window: tokens that a network reads at once.
        tokenizer: as for `fit_tokenizer`.
        vocab_size: as for `fit_tokenizer`.
        ordering: how training visits the windows.
        stride: tokens from the beginning of one training window to that of the next; the window if
            None. Windows that overlap need another order than `contiguous`.
        cache_dir: where encoded texts are kept; the user's cache folder if None.

    Raises:
        UsageError: the text or a document of it is unknown, not prepared, empty, not UTF-8, or too
            short for a window.
        RunError: the disk of the cache is full.
    """
    documents = _documents(name, data_dir)
    digest = hashlib.sha256(repr(documents).encode("utf-8", "surrogatepass")).hexdigest()
    settings: dict[str, Any] = {"kind": tokenizer, "vocab_size": vocab_size}
    key = {"name": f"{name}-text", "encoding": ENCODING, "fingerprint": digest, **settings}
    build = partial(_encode, documents, settings)
    arrays = cached(key, build, None if cache_dir is None else Path(cache_dir))
    made = tokenizer_of(json.loads(bytes(arrays["tokenizer"])))
    return {
        split: Corpus(
            name,
            split,
            {kind: arrays[f"{split}-{kind}"] for kind in ("tokens", "begins")},
            window=window,
            stride=stride if split == "train" else None,
            tokenizer=made,
            ordering=ordering,
        )
        for split in SPLITS
    }


def _encode(documents: Documents, settings: Mapping[str, Any], allocate: Allocate) -> None:
    """Fill the arrays of all splits, and the tokenizer as JSON."""
    tokenizer = fit_tokenizer(
        settings["kind"],
        documents["train"],
        vocab_size=settings["vocab_size"],
        exact=settings["kind"] == "byte_pairs",
    )
    stored = np.frombuffer(json.dumps(tokenizer.described()).encode(), np.uint8)
    allocate("tokenizer", stored.shape, stored.dtype)[...] = stored
    for split in SPLITS:
        encoded = [tokens for text in documents[split] if (tokens := tokenizer.encode(text))]
        if not encoded:
            raise UsageError(f"the {split} split has no tokens: choose another text or tokenizer")
        tokens = np.concatenate([np.array(each, np.int32) for each in encoded])
        begins = np.zeros(len(tokens), bool)
        begins[np.cumsum([0, *(len(each) for each in encoded[:-1])])] = True
        allocate(f"{split}-tokens", tokens.shape, tokens.dtype)[...] = tokens
        allocate(f"{split}-begins", begins.shape, begins.dtype)[...] = begins


def _documents(name: str, data_dir: str | os.PathLike[str] | None) -> Documents:
    if name == "python":
        return _cut(_python_source())
    path = Path(name).expanduser()
    if name.startswith((".", os.sep, "~")) and not path.exists():
        raise UsageError(f"there is no text file or folder {name!r}: check the path")
    as_path = len(path.parts) > 1 or name.startswith(".")
    if name and path.exists() and (as_path or not _is_known(name, data_dir)):
        return _read(path)
    return _prepared(name, data_dir)


def _is_known(name: str, data_dir: str | os.PathLike[str] | None) -> bool:
    from dl_jax.data import tfds_records  # half a second that `python` need not wait for

    return tfds_records.is_known(name, data_dir)


def _prepared(name: str, data_dir: str | os.PathLike[str] | None) -> Documents:
    """The texts of a dataset of TFDS."""
    from dl_jax.data import tfds_records

    prepared = tfds_records.find(name, data_dir, WANTED)
    texts = prepared.named("text")
    if len(texts) != 1:
        raise UsageError(
            f"dataset {name!r} is not one of texts: expected one text, found "
            f"{', '.join(sorted(prepared.features)) or 'no named features'}"
        )
    if "train" not in prepared.splits:
        raise UsageError(
            f"dataset {name!r} has the splits {', '.join(prepared.splits)}, expected 'train' among "
            "them"
        )
    found: Documents = {}
    for split in (split for split in SPLITS if split in prepared.splits):
        records = prepared.records(split)
        found[split] = []
        for index, record in enumerate(records.read(range(len(records.source)))):
            found[split].append(decoded(record[texts[0]], records.named(index)))
    missing = [split for split in SPLITS if split not in found]
    return found | _cut(found["train"], missing) if missing else found


def _read(path: Path) -> Documents:
    """The text of each file, and each tune of a file in ABC notation."""
    documents: list[str] = []
    tunes: set[int] = set()
    for file in files_in(path):
        if file.suffix.lower() != ABC:
            documents.append(read_text(file))
            continue
        found = read_tunes(file)
        tunes.update(range(len(documents), len(documents) + len(found)))
        documents += found
    return _cut(documents, whole=tunes)


def _cut(
    documents: Sequence[str],
    held_out: Sequence[str] = ("validation", "test"),
    whole: Container[int] = (),
) -> Documents:
    """Documents one after the other, of which the last twentieths are held out.

    Of the document in which a split ends, the rest begins the next one; but those whose numbers are
    `whole` belong to the split in which they begin.
    """
    length = sum(map(len, documents))
    held = length // HELD_OUT
    if not held:
        raise UsageError(
            f"the text has {length} characters, expected at least {HELD_OUT}: take a longer one"
        )
    names = ("train", *held_out)
    stops = {name: length - held * (len(names) - place) for place, name in enumerate(names, 1)}
    found: Documents = {split: [] for split in stops}
    start = 0
    for number, document in enumerate(documents):
        place = 0
        for split, stop in stops.items():
            end = len(document) if number in whole and start < stop else stop - start
            part = document[place : max(place, end)]
            if part:
                found[split].append(part)
            place += len(part)
        start += len(document)
    for split in (split for split in stops if not found[split]):
        raise UsageError(f"no tune is left for the {split} split, expected more: take more tunes")
    return found


def _python_source() -> list[str]:
    """Modules of the standard library, in the order of their names, up to a length."""
    found, length = [], 0
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        text = path.read_text(encoding="utf-8", errors="replace")
        if text and length + len(text) <= PYTHON_LENGTH:
            found.append(text)
            length += len(text)
    return found
