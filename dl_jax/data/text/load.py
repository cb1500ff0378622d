"""Text classification datasets by name."""

import json
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dl_jax.data.cache import Allocate, cached
from dl_jax.data.splits import SPLITS, held_out, split_indices, stored_splits
from dl_jax.data.text.fit_tokenizer import Kind, fit_tokenizer, tokenizer_of
from dl_jax.data.text.sentences import whole_sentences_held_out
from dl_jax.data.text.source import Source, Texts, find
from dl_jax.data.text.text_dataset import TextDataset, as_arrays
from dl_jax.data.text.tokenizer import Tokenizer
from dl_jax.errors import UsageError, check_choice, check_integer, check_range

PathLike = str | os.PathLike[str]
Keep: TypeAlias = Literal["start", "end"]
ENCODING = 2
"""Version of the encoding: raise it with any change of the tokens that it gives."""


def load_texts(
    name: str,
    data_dir: PathLike | None = None,
    *,
    tokenizer: Kind = "words",
    vocab_size: int = 20_000,
    min_count: int = 2,
    exact: bool = False,
    max_length: int = 400,
    keep: Keep = "start",
    validation_fraction: float = 1 / 12,
    split_seed: int = 0,
    whole_sentences: bool = False,
    cache_dir: PathLike | None = None,
) -> dict[str, TextDataset]:
    """The splits `train`, `validation` and `test` of a text classification dataset, as tokens.

    The vocabulary is that of the training split alone. Splits are as for images (`load`): what the
    dataset does not have, or hides the labels of, is held out from the training texts.

    Args:
        name: `sentiment`, which comes with the installation, or a TFDS name such as
            `imdb_reviews` or `glue/sst2`: any set with one text and one class label.
        data_dir: folder of prepared TFDS datasets; `$TFDS_DATA_DIR` if None.
        tokenizer: as for `fit_tokenizer`.
        vocab_size: as for `fit_tokenizer`.
        min_count: as for `fit_tokenizer`.
        exact: as for `fit_tokenizer`; without, a word that is not in the vocabulary is unknown.
        max_length: tokens of a text; what is longer is cut.
        keep: what is kept of a longer text, its start or its end.
        validation_fraction: share of the training texts that is held out, in (0, 1).
        split_seed: chooses which are held out.
        whole_sentences: for a training split that has sentences and phrases of them, as SST-2's:
            hold out sentences, and leave out of the training what is a phrase of one.
        cache_dir: where encoded texts are kept; the user's cache folder if None.

    Raises:
        UsageError: the dataset is unknown, not prepared, or cannot be read; a text is empty or not
            UTF-8; a label is not that of a class; or a number is out of range.
        RunError: the disk of the cache is full.
    """
    check_range(
        "validation_fraction", validation_fraction, low=0, high=1, exclusive_low=True,
        exclusive_high=True,
    )  # fmt: skip
    check_integer("split_seed", split_seed, low=0, high=None)
    check_integer("max_length", max_length, low=1)
    check_choice("keep", keep, ("start", "end"))
    source = find(name, data_dir)
    stored = stored_splits(name, source.splits, source.hidden)
    options = {
        "tokenizer": {
            "kind": tokenizer, "vocab_size": vocab_size, "min_count": min_count, "exact": exact
        },
        "max_length": max_length, "keep": keep, "fraction": validation_fraction,
        "seed": split_seed, "whole_sentences": whole_sentences,
    }  # fmt: skip
    key = {
        "name": f"{name}-tokens", "stored": stored, "encoding": ENCODING,
        "fingerprint": source.fingerprint, **options,
    }  # fmt: skip
    build = partial(_encode, source, stored, options)
    arrays = cached(key, build, None if cache_dir is None else Path(cache_dir))
    made = tokenizer_of(json.loads(bytes(arrays["tokenizer"])))
    return {
        split: TextDataset(
            name,
            split,
            {kind: arrays[f"{split}-{kind}"] for kind in ("tokens", "length", "label")},
            source.classes,
            made,
        )
        for split in SPLITS
    }


def _encode(
    source: Source, stored: dict[str, str], options: dict[str, Any], allocate: Allocate
) -> None:
    """Fill the arrays of all splits, and the tokenizer as JSON."""
    texts = _split(source, stored, options)
    settings = dict(options["tokenizer"])
    tokenizer = fit_tokenizer(settings.pop("kind"), texts["train"].texts, **settings)
    _store(allocate, "tokenizer", np.frombuffer(json.dumps(tokenizer.described()).encode(), "u1"))
    for split in SPLITS:
        encoded = _cut(tokenizer, texts[split].texts, options["max_length"], options["keep"])
        arrays = as_arrays(encoded, texts[split].labels, options["max_length"])
        for kind, array in arrays.items():
            _store(allocate, f"{split}-{kind}", array)


def _split(source: Source, stored: dict[str, str], options: dict[str, Any]) -> dict[str, Texts]:
    """The texts of each split."""
    read = {name: source.read(name) for name in sorted(set(stored.values()))}
    for name, texts in read.items():
        if not texts.texts:
            raise UsageError(f"split {name!r} of {source.name!r} holds no texts")
    found = {split: read[stored[split]] for split in SPLITS}
    missing = held_out(stored)
    if not missing:
        return found
    train = found["train"]
    if options["whole_sentences"]:
        chosen = whole_sentences_held_out(
            train.texts, missing, options["fraction"], options["seed"]
        )
    else:
        chosen = split_indices(len(train.texts), missing, options["fraction"], options["seed"])
    for split in ("train", *missing):
        indices = chosen[split].tolist()
        found[split] = Texts(
            [train.texts[index] for index in indices], [train.labels[index] for index in indices]
        )
    return found


def _cut(
    tokenizer: Tokenizer, texts: Sequence[str], max_length: int, keep: Keep
) -> list[list[int]]:
    encoded = map(tokenizer.encode, texts)
    if keep == "start":
        return [tokens[:max_length] for tokens in encoded]
    return [tokens[-max_length:] for tokens in encoded]


def _store(allocate: Allocate, name: str, array: NDArray) -> None:
    allocate(name, array.shape, array.dtype)[...] = array
