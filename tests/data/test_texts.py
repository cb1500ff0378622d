"""Texts by name: splits, vocabularies of the training split alone, and what is refused."""

import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from dl_jax.data import load_texts
from dl_jax.data.text.sentences import whole_sentences_held_out
from dl_jax.data.text.sentiment import sentiment_texts
from dl_jax.errors import UsageError
from tests.prepared import prepare, prepare_texts

TRAIN = [(f"word{i} is good", i % 2) for i in range(20)]
TEST = [("unheard words are good", 1), ("so", 0)]


def texts(data):
    return [data.text(index) for index in range(len(data))]


def test_the_generated_language_is_balanced_and_has_no_telling_words():
    texts, labels = sentiment_texts()
    assert sentiment_texts()[0] == texts != sentiment_texts(seed=1)[0]
    assert abs(np.mean(labels) - 0.5) < 0.02
    counts = CountVectorizer(binary=False).fit_transform(texts)
    bag = LogisticRegression(max_iter=1000).fit(counts[:10000], labels[:10000])
    assert bag.score(counts[10000:], labels[10000:]) <= 0.60


def test_splits_are_disjoint_and_tokens_are_padded(tmp_path: Path):
    data = load_texts("sentiment", max_length=12, cache_dir=tmp_path)
    assert {name: len(split) for name, split in data.items()} == {
        "train": 8800, "validation": 800, "test": 2400,
    }  # fmt: skip
    train = data["train"]
    tokens, lengths = np.asarray(train.arrays["tokens"]), np.asarray(train.arrays["length"])
    assert tokens.shape == (8800, 12)
    np.testing.assert_array_equal((tokens != 0).sum(1), lengths)
    np.testing.assert_array_equal(tokens != 0, np.arange(12) < lengths[:, None])
    assert lengths.max() == 12  # longer ones are cut
    assert train.classes == ("negative", "positive")
    again = load_texts("sentiment", max_length=12, cache_dir=tmp_path)
    np.testing.assert_array_equal(again["train"].arrays["tokens"], tokens)
    assert again["train"].tokenizer.described() == train.tokenizer.described()


def test_a_prepared_dataset_is_found_by_the_types_of_its_features(tmp_path: Path):
    """And its vocabulary is that of the training split alone."""
    prepare_texts(tmp_path, "reviews", {"train": TRAIN, "test": TEST}, ("said", "opinion"))
    data = load_texts("reviews", tmp_path, min_count=1, validation_fraction=0.25,
                      cache_dir=tmp_path / "cache")  # fmt: skip
    assert {name: len(split) for name, split in data.items()} == {
        "train": 15, "validation": 5, "test": 2,
    }  # fmt: skip
    seen = texts(data["train"])
    assert all(re.fullmatch(r"word\d+ is good", text) for text in seen)
    assert texts(data["validation"]) == ["<unknown> is good"] * 5
    assert texts(data["test"]) == ["<unknown> <unknown> <unknown> good", "<unknown>"]
    for text, label in zip(seen, data["train"].arrays["label"], strict=True):
        assert (text, label) in TRAIN


@pytest.mark.parametrize(("keep", "kept"), [("start", "word3 is"), ("end", "is good")])
def test_of_a_long_text_its_start_or_its_end_is_kept(tmp_path: Path, keep, kept):
    prepare_texts(tmp_path, "reviews", {"train": TRAIN, "validation": TEST, "test": TEST})
    data = load_texts("reviews", tmp_path, min_count=1, max_length=2, keep=keep,
                      cache_dir=tmp_path / "cache")  # fmt: skip
    assert kept in texts(data["train"])


def test_hidden_test_labels_are_not_reported_on(tmp_path: Path):
    """The validation split is the test, and training texts are held out to choose by."""
    hidden = [(text, -1) for text, _ in TEST]
    prepare_texts(tmp_path, "glue/sst2", {"train": TRAIN, "validation": TEST, "test": hidden})
    with pytest.warns(UserWarning, match="the test labels of 'glue/sst2' are withheld"):
        data = load_texts("glue/sst2", tmp_path, min_count=1, cache_dir=tmp_path / "cache")
    np.testing.assert_array_equal(data["test"].arrays["label"], [1, 0])
    assert len(data["train"]) + len(data["validation"]) == len(TRAIN)


def test_sentences_are_held_out_with_all_their_phrases():
    sentences = [f"the film number{i} is a joy to watch" for i in range(10)]
    phrases = [f"number{i} is a joy" for i in range(10)] + ["a joy", "to watch", "an ordeal"]
    everything = phrases + sentences
    found = whole_sentences_held_out(everything, ("validation",), 0.25, 0)
    held = [everything[i] for i in found["validation"]]
    train = [everything[i] for i in found["train"]]
    assert len(held) == 3  # of ten sentences and the phrase of none
    assert set(held) < {*sentences, "an ordeal"}
    for text in train:
        assert not any(f" {text} " in f" {sentence} " for sentence in held)
    gone = set(everything) - set(train) - set(held)
    assert gone == {p for p in phrases if any(f" {p} " in f" {sentence} " for sentence in held)}


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ((b"caf\xe9", 1), "record 20 of 'reviews', split 'train', in "),
        ((b"caf\xe9", 1), "is no text in UTF-8 (unexpected end of data at byte 3)"),
        ((" \n", 1), "is empty: remove it"),
        (("good", -1), "has the label -1, expected 0 to 1"),
    ],
)
def test_a_record_that_cannot_be_used_is_named(tmp_path: Path, broken, said):
    prepare_texts(tmp_path, "reviews", {"train": [*TRAIN, broken], "test": TEST})
    with pytest.raises(UsageError, match=re.escape(said)):
        load_texts("reviews", tmp_path, cache_dir=tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("reviews*"))


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("sentimant", {}, "dataset 'sentimant' is unknown, expected 'sentiment', or the TFDS name "
         "of a text classification dataset such as 'imdb_reviews'; did you mean 'sentiment'?"),
        ("../x", {}, "dataset is '../x', expected 'sentiment', a TFDS name"),
        ("tiny_images", {}, "is not one of texts with labels: expected one text and one class "
         "label, found image, label"),
        ("sentiment", {"max_length": 0}, "max_length is 0"),
        ("sentiment", {"keep": "middle"}, "keep is 'middle', expected one of end, start"),
        ("sentiment", {"tokenizer": "syllables"}, "tokenizer is 'syllables'"),
        ("sentiment", {"validation_fraction": 1.0}, "validation_fraction is 1.0"),
    ],
)  # fmt: skip
def test_what_cannot_be_loaded_is_said(tmp_path: Path, name, options, said):
    prepare(tmp_path)
    with pytest.raises(UsageError, match=re.escape(said)):
        load_texts(name, tmp_path, **options, cache_dir=tmp_path / "cache")
