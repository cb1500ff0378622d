"""Long texts: where they come from, how they are split, and what is refused."""

import re
from pathlib import Path

import numpy as np
import pytest

from dl_jax.data import CorpusData, load_corpus
from dl_jax.errors import UsageError
from tests.prepared import prepare, prepare_texts


def text_of(corpus):
    return corpus.tokenizer.decode(np.asarray(corpus.arrays["tokens"]).tolist())


def test_files_of_a_folder_are_documents_and_their_end_is_held_out(tmp_path: Path):
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "b.txt").write_text("b" * 30 + "c" * 20)
    (folder / "a.txt").write_text("a" * 50)
    (folder / ".hidden").write_text("x")
    data = load_corpus(str(folder), window=3, cache_dir=tmp_path / "cache")
    assert text_of(data["train"]) == "a" * 50 + "b" * 30 + "c" * 10
    unknown = "<unknown>"
    assert unknown not in text_of(data["validation"])
    assert text_of(data["validation"]) == text_of(data["test"]) == "c" * 5
    assert np.flatnonzero(data["train"].arrays["begins"]).tolist() == [0, 50]
    batch = data["train"].batch(np.array([16]))
    assert batch["tokens"].shape == batch["begins"].shape == (1, 4)
    np.testing.assert_array_equal(batch["begins"], [[False, False, True, False]])


def test_the_vocabulary_is_that_of_the_training_text(tmp_path: Path):
    path = tmp_path / "text.txt"
    path.write_text("ab" * 45 + "zy" * 5)
    data = load_corpus(str(path), window=2, cache_dir=tmp_path / "cache")
    assert data["train"].tokenizer.vocabulary == ("a", "b")
    assert text_of(data["test"]) == "<unknown>" * 5


def test_a_prepared_text_keeps_its_splits(tmp_path: Path):
    texts = {"train": [("to be or not", 0)], "validation": [("to be", 0)], "test": [("or not", 1)]}
    prepare_texts(tmp_path, "plays", texts, ("text", "label"))
    data = load_corpus("plays", tmp_path, window=2, cache_dir=tmp_path / "cache")
    assert {name: text_of(split) for name, split in data.items()} == {
        "train": "to be or not", "validation": "to be", "test": "or not",
    }  # fmt: skip


def test_what_a_prepared_text_lacks_is_held_out_of_its_training_text(tmp_path: Path):
    texts = {"train": [("ab" * 50, 0)], "test": [("cd", 1)], "more": [("e" * 100, 1)]}
    prepare_texts(tmp_path, "reviews", texts, ("text", "label"))
    data = load_corpus("reviews", tmp_path, window=1, cache_dir=tmp_path / "cache")
    assert text_of(data["train"]) == "ab" * 47 + "a"
    assert text_of(data["validation"]) == "babab"
    assert text_of(data["test"]) == "<unknown>" * 2


def test_hidden_files_and_folders_are_no_documents(tmp_path: Path):
    for name in ("a.txt", ".hidden.txt", ".git/objects.txt"):
        path = tmp_path / "texts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name[:2] * 50)
    data = load_corpus(str(tmp_path / "texts"), window=2, cache_dir=tmp_path / "cache")
    assert text_of(data["train"]) == "a." * 45


def test_pythons_own_source_is_there_on_every_machine(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("DL_JAX_CACHE", str(tmp_path))
    data = CorpusData(window=16).load()
    train = text_of(data["train"])
    assert "import " in train
    assert 500_000 < len(train) < 1_000_000
    assert len(data["validation"]) > 1000


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("./nowhere", "there is no text file or folder './nowhere'"),
        ("shakespear", "dataset 'shakespear' is unknown, expected 'python', the TFDS name of a "
         "text such as 'tiny_shakespeare', or a text file or a folder of them as ./PATH"),
        ("tiny_images", "is not one of texts: expected one text, found image, label"),
        ("latin.txt", "is not in UTF-8 (unexpected end of data at byte 3): convert it"),
        ("empty.txt", "is empty: remove it"),
        ("short.txt", "the text has 5 characters, expected at least 20"),
        ("narrow.txt", "has 2 tokens, expected at least 4"),
        ("./folder", "has no files"),
        ("", "dataset is '', expected 'python'"),
        ("spaces", "record 1 of 'spaces', split 'train', in"),
        ("unsplit", "dataset 'unsplit' has the splits test, expected 'train' among them"),
        ("blank.txt", "split has no tokens: choose another text or tokenizer"),
    ],
)  # fmt: skip
def test_what_is_no_text_is_said(tmp_path: Path, monkeypatch, name, said):
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    Path("latin.txt").write_bytes(b"caf\xe9")
    Path("empty.txt").write_text(" ")
    Path("short.txt").write_text("short")
    Path("narrow.txt").write_text("a" * 40)
    Path("folder").mkdir()
    Path("blank.txt").write_text("word " * 90 + "\n" * 50)
    prepare_texts(tmp_path, "spaces", {"train": [("word", 0), (" ", 1)]}, ("text", "label"))
    prepare_texts(tmp_path, "unsplit", {"test": [("word", 0)]}, ("text", "label"))
    kind = "words" if name == "blank.txt" else "characters"
    with pytest.raises(UsageError, match=re.escape(said)):
        load_corpus(name, tmp_path, window=3, tokenizer=kind, cache_dir=tmp_path / "cache")
