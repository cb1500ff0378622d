"""A trained run says of a text what its network computes, word by word."""

import json
import re

import pytest

from dl_jax.runs import load_run
from tests.experiments.scripts import TRAINED, start


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        start(
            patch, "sequence.imdb", "--dataset", "sentiment", "--max-length", "12",
            "--embedding-dim", "4", "--hidden-dim", "4", "--bag.steps", "2", "--bag.batch-size",
            "20", "--seeds", "2", *TRAINED, "--out", str(folder), "--name", "run",
        )  # fmt: skip
    return folder / "run"


def predict(monkeypatch, capsys, *options):
    capsys.readouterr()
    start(monkeypatch, "sequence.predict", *map(str, options))
    return capsys.readouterr().out


def test_it_reads_word_by_word(run, monkeypatch, capsys):
    text = "the film was NOT bad"
    said = predict(monkeypatch, capsys, "--run", run / "lstm", "--text", text, "--replica", "1")
    rows = re.findall(r"^ *(\w+) +(0\.\d{3}) +(0\.\d{3}) +([+-]\d\.\d{3})", said, re.MULTILINE)
    assert [row[0] for row in rows] == ["the", "film", "was", "not", "bad"]
    assert all(abs(float(a) + float(b) - 1) < 0.002 for _, a, b, _ in rows)
    last = dict(zip(("negative", "positive"), rows[-1][1:3], strict=True))
    name, probability = re.search(r"(\w+), with probability (0\.\d{3})", said).groups()
    assert last[name] == probability
    classes = load_run(run / "lstm", replica=1).files["classes.json"]
    assert json.loads(classes.read_text()) == ["negative", "positive"]


@pytest.mark.parametrize(
    ("part", "text", "options", "said"),
    [
        ("lstm", "bad", (), "holds 2 replicas: choose one"),
        ("lstm", " ", ("--replica", "0"), "the text is ' ', expected at least one word"),
        ("lstm", "bad " * 13, ("--replica", "0"), "has 13 words and marks, the network has been "
         "trained on at most 12"),
        ("nowhere", "bad", (), "nowhere"),
    ],
)  # fmt: skip
def test_what_it_cannot_read_is_one_sentence(run, monkeypatch, capsys, part, text, options, said):
    with pytest.raises(SystemExit) as end:
        predict(monkeypatch, capsys, "--run", run / part, "--text", text, *options)
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert said in " ".join(error.split())
    assert error.count("\n") == 1


def test_the_tokenizer_of_another_run_is_noticed(run, monkeypatch, capsys):
    path = run / "lstm" / "tokenizer.json"
    before = path.read_text()
    path.write_text(before.replace("film", "play"))
    try:
        with pytest.raises(SystemExit):
            predict(monkeypatch, capsys, "--run", run / "lstm", "--text", "bad", "--replica", "0")
        assert "was changed since the run was described" in capsys.readouterr().err
    finally:
        path.write_text(before)
