"""Tunes in ABC notation: where they begin, and that no split cuts one."""

import re
from pathlib import Path

import numpy as np
import pytest

from dl_jax.data import load_corpus, read_tunes
from dl_jax.errors import UsageError


def tune(number: int, bars: int = 3) -> str:
    return f"X: {number}\nT:Tune {number}\nK:G\n" + "GABc d2|" * bars + "\n\n"


def text_of(corpus):
    return corpus.tokenizer.decode(np.asarray(corpus.arrays["tokens"]).tolist())


def test_a_tune_begins_at_its_number_and_ends_before_the_next(tmp_path: Path):
    (tmp_path / "b.abc").write_bytes(
        b"% a book\n\nX:1\r\nK:C\r\nC|\r\n\r\n\r\nX: 2\nw: X:\nK:D\nD|"
    )
    (tmp_path / "a.ABC").write_text(tune(3))
    (tmp_path / "c.txt").write_text("X: 4")
    both = ["X:1\nK:C\nC|\n\n", "X: 2\nw: X:\nK:D\nD|\n\n"]
    assert read_tunes(tmp_path / "b.abc") == both
    assert read_tunes(tmp_path) == [tune(3), *both]


def test_no_split_cuts_a_tune(tmp_path: Path):
    tunes = [tune(number, bars=1 + number % 5) for number in range(60)]
    (tmp_path / "tunes.abc").write_text("% a book\n" + "".join(tunes))
    data = load_corpus(str(tmp_path), window=8, cache_dir=tmp_path / "cache")
    found = []
    for corpus in data.values():
        tokens, starts = (
            np.asarray(corpus.arrays["tokens"]),
            np.flatnonzero(corpus.arrays["begins"]),
        )
        parts = np.split(tokens, starts[1:])
        found.append([corpus.tokenizer.decode(part.tolist()) for part in parts])
    assert [each for split in found for each in split] == tunes
    assert all(2 <= len(held) <= 4 for held in found[1:])


def test_texts_beside_tunes_are_cut_as_ever(tmp_path: Path):
    (tmp_path / "a.abc").write_text(tune(1))
    (tmp_path / "b.txt").write_text("b" * 400)
    data = load_corpus(str(tmp_path), window=3, cache_dir=tmp_path / "cache")
    held = (len(tune(1)) + 400) // 20
    assert text_of(data["validation"]) == text_of(data["test"]) == "b" * held
    assert text_of(data["train"]) == tune(1) + "b" * (400 - 2 * held)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"K:C\nCDE|\n X: 1", "has no tune, expected lines such as 'X: 1'"),
        (b"X:1\nT:caf\xe9\n", "is not in UTF-8 (invalid continuation byte at byte 9)"),
        (b"\n", "is empty"),
        (None, "has no such files, expected files that end in .abc"),
    ],
)
def test_what_is_no_tune_is_said(tmp_path: Path, content, said):
    if content is not None:
        (tmp_path / "a.abc").write_bytes(content)
    with pytest.raises(UsageError, match=re.escape(said)):
        read_tunes(tmp_path)


def test_too_few_tunes_are_said(tmp_path: Path):
    (tmp_path / "a.abc").write_text(tune(1) + tune(2))
    with pytest.raises(UsageError, match="no tune is left for the validation split"):
        load_corpus(str(tmp_path / "a.abc"), window=3, cache_dir=tmp_path / "cache")
