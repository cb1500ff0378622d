"""Tokenizers: exact round trips, vocabularies, and files that are refused."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dl_jax.data import VocabularyTokenizer, fit_tokenizer, read_tokenizer, tokenizer_json
from dl_jax.errors import UsageError

TEXTS = ["The cat sat.", "The dog sat down, the cat did not.", "Größe zählt nicht"]
FITTED = {
    "characters": fit_tokenizer("characters", TEXTS, vocab_size=275),
    "words": fit_tokenizer("words", TEXTS, vocab_size=270),
}


def byte_pairs():
    pytest.importorskip("tokenizers")
    return fit_tokenizer("byte_pairs", TEXTS, vocab_size=280)


@pytest.mark.parametrize("kind", FITTED)
@settings(deadline=None)
@given(st.text(st.characters()))  # all of Unicode, halves of characters among them
def test_any_text_comes_back(kind, text):
    tokenizer = FITTED[kind]
    tokens = tokenizer.encode(text)
    assert tokenizer.decode([*tokens, 0, 0]) == text
    assert all(1 <= token < tokenizer.size for token in tokens)


@settings(deadline=None, max_examples=50)
@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_from_byte_pairs(text):
    tokenizer = byte_pairs()
    tokens = tokenizer.encode(text)
    assert tokenizer.decode([*tokens, 0]) == text
    assert all(1 <= token < tokenizer.size for token in tokens)


def test_byte_pairs_join_what_often_occurs():
    tokenizer = byte_pairs()
    assert tokenizer.size == 280
    assert len(tokenizer.encode("The cat")) < len("The cat")


def test_a_vocabulary_holds_what_occurs_most_often():
    counts = ["b b b a a c c d"]
    words = fit_tokenizer("words", counts, vocab_size=5, exact=False)
    assert words.vocabulary == ("b", "a", "c")  # those that occur as often by the alphabet
    assert words.size == 5  # with padding and what is unknown
    assert fit_tokenizer("words", counts, min_count=2, exact=False).vocabulary == ("b", "a", "c")
    assert fit_tokenizer("words", counts, min_count=3, exact=False).vocabulary == ("b",)
    assert words.encode("B d, a") == [1, 4, 4, 2]
    assert words.decode([1, 4, 4, 2, 0]) == "b <unknown> <unknown> a"
    assert words.pieces("Don't!<br /><br />A < b") == [
        "don't", "!", "<br />", "<br />", "a", "<", "b",
    ]  # fmt: skip


def test_words_of_the_exact_kind_keep_their_spaces():
    words = fit_tokenizer("words", ["a cat, a cat"], vocab_size=300)
    assert words.vocabulary == (" cat", " a", ",", "a")
    assert len(words.encode("a cat")) == 2


def test_bytes_that_are_no_text_are_marked():
    characters = FITTED["characters"]
    first = characters.size - 256
    assert characters.decode([first + 0xFF, first + ord("a")]) == "\ufffda"


@pytest.mark.parametrize("kind", [*FITTED, "byte_pairs"])
def test_what_is_written_is_read(tmp_path: Path, kind):
    tokenizer = byte_pairs() if kind == "byte_pairs" else FITTED[kind]
    (tmp_path / "tokenizer.json").write_text(tokenizer_json(tokenizer), encoding="utf-8")
    again = read_tokenizer(tmp_path / "tokenizer.json")
    assert again.encode(TEXTS[1]) == tokenizer.encode(TEXTS[1])
    assert again.described() == tokenizer.described()


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read (No such file"),
        ('{"kind": "words", "exact": true, "vocab', "is no JSON, or cut short"),
        ('{"kind": "words"}', "this is no tokenizer, expected its kind"),
        ("[]", "this is no tokenizer"),
        ('{"kind": "syllables", "exact": true, "vocabulary": []}', "expected one of characters"),
        ('{"kind": "words", "exact": true, "vocabulary": ["a", "b", "a"]}', "piece 'a' 2 times"),
        ('{"kind": "words", "exact": true, "vocabulary": [""]}', "piece '' 1 times"),
        ('{"kind": "byte_pairs", "tokenizer": "{}"}', "this is no tokenizer of byte pairs"),
    ],
)
def test_a_file_that_holds_no_tokenizer_is_refused(tmp_path: Path, content, said):
    if content and "byte_pairs" in content:
        pytest.importorskip("tokenizers")
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=re.escape(said)) as caught:
        read_tokenizer(path)
    assert str(path) in str(caught.value)


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: fit_tokenizer("sentences", TEXTS), "tokenizer is 'sentences', expected one of"),
        (lambda: fit_tokenizer("words", TEXTS, vocab_size=200), "vocab_size is 200, expected at"),
        (lambda: fit_tokenizer("words", TEXTS, min_count=0), "min_count is 0"),
        (lambda: VocabularyTokenizer("words", ("a",)).decode([258]), "258 is no token"),
        (lambda: byte_pairs().decode([-3]), "-3 is no token, expected 0 to 279"),
        (lambda: byte_pairs().encode("half \ud800"), "a text cannot be written in UTF-8"),
        (
            lambda: fit_tokenizer("byte_pairs", TEXTS, vocab_size=200, exact=False),
            "vocab_size is 200, expected at least 259",
        ),
    ],
)
def test_what_cannot_be_is_refused(make, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        make()


def test_the_unknown_token_is_what_stands_for_other_words():
    tokenizer = VocabularyTokenizer("words", ("a", "b"), exact=False)
    assert tokenizer.encode("zebra") == [tokenizer.unknown] == [3]
    assert VocabularyTokenizer("words", ("a", "b")).unknown is None


def test_a_tokenizer_is_json():
    assert json.loads(json.dumps(FITTED["words"].described())) == FITTED["words"].described()
