"""Texts with their summaries: read, split, as tokens, as scored sentences, and what is refused."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dl_jax.data import PairData, lead, sentences
from dl_jax.data.text.pairs.pair_splits import pair_splits
from dl_jax.data.text.pairs.summary_sentences import summary_sentences
from dl_jax.errors import UsageError

SMALL = {"vocab_size": 300, "min_count": 1, "max_source": 32, "max_target": 8}
ROWS = [{"article": f"Text number {i // 2}. It is long.", "summary": f"Text {i}."}
        for i in range(40)]  # fmt: skip
"""Each text twice."""


def write(path: Path, rows) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def texts(pairs):
    return {" ".join(pair.text.split()) for pair in pairs}


def check_disjoint(splits):
    found = [texts(pairs) for pairs in splits.values()]
    assert len(set.union(*found)) == sum(map(len, found))


def test_a_file_is_split_by_its_different_texts(tmp_path: Path):
    rows = [*ROWS, {"article": "Text number 0.\nIt is  long.", "summary": "Again."}]
    name = write(tmp_path / "pairs.jsonl", rows)
    splits = pair_splits(name)
    assert {split: len(texts(pairs)) for split, pairs in splits.items()} == {
        "train": 16, "validation": 2, "test": 2,
    }  # fmt: skip
    assert sum(map(len, splits.values())) == len(rows)
    check_disjoint(splits)
    assert pair_splits(name) == splits != pair_splits(name, seed=1)


@pytest.mark.parametrize(
    ("files", "sizes"),
    [
        ({"x.train.jsonl": 40, "x.dev.jsonl": 3, "x.test.jsonl": 1}, (40, 3, 1)),
        ({"training.jsonl": 40, "test.jsonl": 1}, (36, 4, 1)),
        ({"a_train.jsonl": 40, "a_val.jsonl": 2}, (36, 2, 4)),
        ({"dialogsum.dev.jsonl": 40, "dialogsum.test.jsonl": 2}, (36, 4, 2)),
        ({"dev.jsonl": 40}, (32, 4, 4)),
        ({"train1.jsonl": 20, "train-2.jsonl": 20}, (32, 4, 4)),
    ],
)
def test_a_folders_files_are_splits_and_what_is_missing_is_held_out(tmp_path, files, sizes):
    for file, count in files.items():
        rows = [{"dialogue": f"{file} {i}", "summary": "x"} for i in range(count)]
        write(tmp_path / "folder" / file, rows)
    (tmp_path / "folder" / "README.md").write_text("Not a pair.")
    splits = pair_splits(str(tmp_path / "folder"))
    assert tuple(map(len, splits.values())) == sizes
    check_disjoint(splits)


def test_a_text_of_two_files_stays_in_the_later_split(tmp_path: Path):
    rows = [{"dialogue": str(i), "summary": "x"} for i in range(30)]
    for part, stored in {"train": rows[:25], "dev": rows[20:28], "test": rows[24:]}.items():
        write(tmp_path / "folder" / f"{part}.jsonl", stored)
    splits = pair_splits(str(tmp_path / "folder"))
    assert [len(pairs) for pairs in splits.values()] == [20, 4, 6]
    check_disjoint(splits)


def test_a_target_begins_and_ends_and_is_the_first_of_several_summaries(tmp_path: Path):
    rows = [{"dialogue": f"Some words {i}", "summary2": "c d", "summary1": "a b", "summary10": "e"}
            for i in range(20)]  # fmt: skip
    rows[0] |= {"summary1": "Longer than what is kept of it, in bytes"}
    data = PairData(write(tmp_path / "pairs.jsonl", rows), **SMALL).load()
    train = data["train"]
    assert train.references[-1] == ("a b", "c d", "e")
    target, length = train.arrays["target"], train.arrays["target_length"]
    assert target.shape == (16, 9)
    np.testing.assert_array_equal(target != 0, np.arange(9) < length[:, None])
    np.testing.assert_array_equal(target[:, 0], train.begin)
    last = target[np.arange(16), length - 1]
    np.testing.assert_array_equal(last == train.end, np.array(train.references)[:, 0] == "a b")
    assert train.begin == train.tokenizer.size == train.end - 1 == train.vocab_size - 2
    assert train.decode(target[-1].tolist()) == "a b"
    assert train.decode([train.begin, *train.tokenizer.encode("a"), train.end, 1]) == "a"
    np.testing.assert_array_equal(
        (train.arrays["source"] != 0).sum(1), train.arrays["source_length"]
    )
    few = train.take(3).subset(np.array([2, 0]))
    assert few.texts == (train.texts[2], train.texts[0])
    assert few.references == (train.references[2], train.references[0])
    assert set(train.files) == {"tokenizer.json"}


def test_the_vocabulary_is_that_of_the_training_split(tmp_path: Path):
    rows = [{"article": f"word{i} is", "summary": f"gist{i}"} for i in range(20)]
    data = PairData(write(tmp_path / "pairs.jsonl", rows), **SMALL).load()
    known = {piece.strip() for piece in data["train"].tokenizer.described()["vocabulary"]}
    seen = {word for text in data["train"].texts for word in text.split()}
    assert known == seen | {reference for (reference,) in data["train"].references}
    for split in data.values():  # the others are spelled
        assert split.decode(split.arrays["target"][0].tolist()) == split.references[0][0]


def test_each_token_knows_its_sentence(tmp_path: Path):
    text = "One here. Two there! Three where? Four."
    rows = [{"article": f"{text} {i} ends.", "summary": "Four.Two there!"} for i in range(20)]
    data = PairData(
        write(tmp_path / "pairs.jsonl", rows), vocab_size=300, min_count=1, max_source=13,
        max_sentences=6,
    ).load_extractive()["train"]  # fmt: skip
    source, sentence = data.arrays["source"][0], data.arrays["sentence"][0]
    assert data.arrays["sentences"][0] == 5  # a token of the last one is kept
    np.testing.assert_array_equal(data.arrays["label"][0], [0, 1, 0, 1, 0, 0])
    parts = [data.tokenizer.decode(source[sentence == place].tolist()) for place in range(4)]
    assert [part.strip() for part in parts] == sentences(text)
    assert data.chosen(0, np.array([0, 3.0, 1, 2, 0, 9]), 2) == "Two there! Four."
    assert data.lead(0, 2) == lead(text, 2) == "One here. Two there!"
    cut = PairData(str(tmp_path / "pairs.jsonl"), vocab_size=300, min_count=1, max_source=3)
    arrays = cut.load_extractive()["train"].arrays
    assert arrays["sentences"][0] == 1
    assert not arrays["label"].any()


@pytest.mark.parametrize(
    ("text", "summary", "chosen"),
    [
        ("No. No. Yes or no. No", "Yes or no.No.", "1010"),  # a quoted one, and one of two equals
        ("A cat sat. It rained. A dog ran off.", "The cat sat, a dog ran", "101"),
        ("A cat sat. It rained.", "Nothing", "00"),
        ("Pi is 3. Pi is 3.", "Pi is 3. Pi is 3.", "11"),
    ],
)
def test_the_sentences_of_a_summary(text, summary, chosen):
    found = summary_sentences(sentences(text), summary)
    assert "".join("01"[each] for each in found) == chosen


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("a line\n\n another ", ["a line", "another"]),
        ('He said "No." Then he left.', ['He said "No."', "Then he left."]),
        ("Rose 2.5% to £3.1bn. £4bn is next.", ["Rose 2.5% to £3.1bn.", "£4bn is next."]),
        ("What?! (Yes.) Well... so be it", ["What?!", "(Yes.)", "Well... so be it"]),
        ("e.g. this. that", ["e.g. this. that"]),
        ("#Person1#: Hi. I am.\n#Person2#: Oh!", ["#Person1#: Hi.", "I am.", "#Person2#: Oh!"]),
    ],
)
def test_sentences(text, parts):
    assert sentences(text) == parts


@given(st.text() | st.text("aB1.?! \n\"'“”"))
def test_sentences_joined_are_the_text(text):
    found = sentences(text)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(found)
    assert [again for part in found for again in sentences(part)] == found


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"article": "x"', "line 3 of {path} is no JSON (Expecting"),
        (b"[1]", "line 3 of {path} is no object, expected an object with 'article' or"),
        (b'{"text": "x", "summary": "y"}', "line 3 of {path} has no 'article' and no 'dialogue', "),
        (b'{"article": "x", "gist": "y"}', "line 3 of {path} has no 'summary', expected an object"),
        (b'{"article": " ", "summary": "y"}', "line 3 of {path} has ' ' as 'article', expected a"),
        (b'{"article": "x", "summary": 3}', "line 3 of {path} has '3' as 'summary', expected a"),
        (b"caf\xe9", "the pairs {path} are not in UTF-8 (unexpected end of data at byte"),
    ],
)
def test_a_line_that_is_no_pair_is_named(tmp_path: Path, line, said):
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(b'\n{"dialogue": "a", "summary": "b"}\n' + line)
    with pytest.raises(UsageError, match=re.escape(said.format(path=path))) as caught:
        PairData(str(path)).load()
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("dialogue", {}, "dataset is 'dialogue', expected 'dialogues', or JSON lines or a folder "
         "of them as ./PATH; did you mean 'dialogues'?"),
        ("", {}, "dataset is '', expected"),
        ("./empty.jsonl", {}, "the pairs empty.jsonl are empty, expected JSON lines"),
        ("./few.jsonl", {}, "the validation split of './few.jsonl' has no texts of its own"),
        ("./unnamed", {}, "the file unnamed/pairs.jsonl is of no split by its name, expected one"),
        ("./unclear", {}, "the file unclear/train.test.jsonl is of train and test by its name"),
        ("./tests", {}, "the folder 'tests' has no training texts, expected JSON lines such as"),
        ("dialogues", {"vocab_size": 5}, "vocab_size is 5, expected at least 259"),
        ("dialogues", {"count": 3}, "count is 3, expected at least 16"),
        ("dialogues", {"max_target": 0}, "max_target is 0"),
        ("dialogues", {"split_seed": -1}, "split_seed is -1"),
    ],
)  # fmt: skip
def test_what_cannot_be_loaded_is_said(tmp_path: Path, monkeypatch, name, options, said):
    monkeypatch.chdir(tmp_path)
    for file in ("few.jsonl", "unnamed/pairs.jsonl", "unclear/train.test.jsonl", "tests/test.json"):
        write(Path(file), ROWS[:3])
    Path("empty.jsonl").write_text("\n")
    with pytest.raises(UsageError, match=re.escape(said)):
        PairData(name, **options).load()
