"""Pairs of a text and its summaries by name, in splits that share no text."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dl_jax.data.splits import SPLITS
from dl_jax.data.text.pairs.dialogues import dialogues
from dl_jax.data.text.pairs.json_lines import Pair, read_json_lines
from dl_jax.errors import UsageError, check_integer, nearest

EMBEDDED = "dialogues"
EXPECTED = f"{EMBEDDED!r}, or JSON lines or a folder of them as ./PATH"
COUNT = 16_000
"""Generated training dialogues."""
FEWER = 16
"""Validation and test have a sixteenth of that each."""
HELD_OUT = 10
"""A tenth of the texts is held out for each split that is not stored."""
PARTS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}
"""Words in a file's name that say of which split it is."""
Splits = dict[str, list[Pair]]


def pair_splits(name: str, seed: int = 0, count: int = COUNT) -> Splits:
    """The splits `train`, `validation` and `test`: no text is in two of them.

    Of one file, a tenth of the different texts is held out for validation, and a tenth for the
    test. In a folder, the files' names say of which split they are: `train`, `dev` or `val`,
    `test`. Where there is no training file, the validation file is the training split. What is then
    missing is held out from the training split, again a tenth of its texts for each. A text that is
    in two stored splits stays in the later one: in test rather than validation or training.

    Texts are equal if they differ in white space alone.

    Args:
        name: `dialogues`, which are generated, or a file of JSON lines or a folder of them.
        seed: chooses which texts are held out.
        count: of dialogues, number of the training split; the others have a sixteenth each.

    Raises:
        UsageError: there is no such name; a file is none of pairs; or a split would be empty.
    """
    check_integer("split_seed", seed, low=0, high=None)
    check_integer("count", count, low=FEWER)
    if name == EMBEDDED:
        return {
            split: [
                Pair(text, (gist,))
                for text, gist in dialogues(split, count if split == "train" else count // FEWER)
            ]
            for split in SPLITS
        }
    path = Path(name).expanduser()
    if not name or not path.exists():
        raise UsageError(f"dataset is {name!r}, expected {EXPECTED}{nearest(name, [EMBEDDED])}")
    stored = _stored(path) if path.is_dir() else {"train": read_json_lines(path)}
    found = _without_repeats(stored)
    missing = [split for split in ("validation", "test") if split not in stored]
    found |= _hold_out(found["train"], missing, seed)
    for split in SPLITS:
        if not found[split]:
            raise UsageError(
                f"the {split} split of {name!r} has no texts of its own, expected at least "
                f"{HELD_OUT} different texts: add some"
            )
    return {split: found[split] for split in SPLITS}


def _stored(folder: Path) -> Splits:
    """What is stored in a folder, by split; there is always a training split."""
    found: Splits = {}
    for path in sorted(each for each in folder.glob("*.json*") if each.name[0] != "."):
        words = set(re.findall(r"[a-z]+", path.stem.lower()))
        splits = [split for split, known in PARTS.items() if words & set(known)]
        if len(splits) != 1:
            raise UsageError(
                f"the file {path} is of {' and '.join(splits) or 'no split'} by its name, expected "
                "one of train, dev (or val) and test in it: rename or remove it"
            )
        found.setdefault(splits[0], []).extend(read_json_lines(path))
    if "train" not in found and "validation" in found:
        found["train"] = found.pop("validation")
    if "train" not in found:
        raise UsageError(
            f"the folder {str(folder)!r} has no training texts, expected JSON lines such as "
            "train.jsonl, or dev.jsonl to train with"
        )
    return found


def _without_repeats(stored: Splits) -> Splits:
    """The stored splits; of training and validation, without what is in a later split."""
    found, seen = {}, set()
    for split in reversed(SPLITS):
        if split in stored:
            found[split] = [pair for pair in stored[split] if _key(pair) not in seen]
            seen.update(map(_key, found[split]))
    return found


def _hold_out(pairs: Sequence[Pair], missing: Sequence[str], seed: int) -> Splits:
    """`train` and the missing splits; equal texts stay together."""
    different = list(dict.fromkeys(map(_key, pairs)))
    shuffled = np.random.default_rng(seed).permutation(len(different))
    held = len(different) // HELD_OUT
    split_of = {
        different[place]: split
        for number, split in enumerate(missing)
        for place in shuffled[number * held : (number + 1) * held]
    }
    found: Splits = {split: [] for split in ("train", *missing)}
    for pair in pairs:
        found[split_of.get(_key(pair), "train")].append(pair)
    return found


def _key(pair: Pair) -> str:
    return " ".join(pair.text.split())
