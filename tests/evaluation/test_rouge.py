"""ROUGE against numbers by hand, and what is refused."""

import sys

import pytest

from dl_jax.errors import UsageError
from dl_jax.evaluation import rouge


@pytest.mark.parametrize(
    ("prediction", "references", "expected"),
    [
        ("The cat sat.", ["the cat sat"], (100, 100, 100)),
        ("the cat sat", ["the cat ran off"], (400 / 7, 40, 400 / 7)),
        ("sat the cat", ["the cat sat"], (100, 50, 200 / 3)),
        ("a b", ["c d", "b a", "a x y b"], (100, 0, 200 / 3)),  # each kind by its best reference
        ("", ["a"], (0, 0, 0)),
        ("Кошка спит", ["кошка спит"], (100, 100, 100)),  # other letters are letters
        ("Bär fällt", ["bar, f. ll t"], (0, 0, 0)),
    ],
)
def test_rouge(prediction, references, expected):
    pytest.importorskip("rouge_score")
    found = rouge([prediction], [references])
    assert found == pytest.approx(dict(zip(("rouge1", "rouge2", "rougeL"), expected, strict=True)))


def test_it_is_the_mean_of_the_examples():
    pytest.importorskip("rouge_score")
    assert rouge(["a b", "c"], [["a b"], ["d"]])["rouge1"] == 50


@pytest.mark.parametrize(
    ("predictions", "references", "said"),
    [
        (["a"], [], "there are 1 predictions for 0 examples"),
        ([], [], "there are 0 predictions for 0 examples, expected one for each of at least one"),
        (["a"], [[]], "an example has no references"),
    ],
)
def test_what_cannot_be_compared_is_said(predictions, references, said):
    with pytest.raises(ValueError, match=said):
        rouge(predictions, references)


def test_a_missing_library_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "rouge_score", None)
    with pytest.raises(UsageError, match="ROUGE needs the library rouge-score: pip install"):
        rouge(["a"], [["a"]])
