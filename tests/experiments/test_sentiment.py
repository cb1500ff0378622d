"""The generated language: whoever reads learns it, whoever counts words does not."""

import json

import pytest

from tests.experiments.scripts import start


@pytest.mark.usefixtures("without_rendering")
def test_the_order_of_words_tells_what_the_words_do_not(tmp_path, monkeypatch):
    start(
        monkeypatch, "sequence.imdb", "--dataset", "sentiment", "--max-length", "30",
        "--embedding-dim", "32", "--hidden-dim", "64", "--pooling", "last", "--dropout-rate", "0",
        "--word-dropout-rate", "0", "--no-keep-words", "--learning-rate", "3e-3",
        "--schedule", "constant", "--epochs", "8", "--bag.epochs", "2",
        "--out", str(tmp_path), "--name", "run",
    )  # fmt: skip
    measured = json.loads((tmp_path / "run" / "result.json").read_text())["test"]
    assert measured["LSTM"]["accuracy"]["mean"] >= 0.99
    assert measured["mean embedding"]["accuracy"]["mean"] <= 0.60
