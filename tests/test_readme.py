"""The README's code runs, and its tables say what the result files say."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from results.__main__ import BEGIN, END, HEAD, NOT_RUN, ROOT, rows, subject, tables, with_tables

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=["experiment", "flax", "weights", "learners"])
def test_the_code_runs(tmp_path: Path, block: str):
    script = tmp_path / "script.py"
    script.write_text(block)
    options = ["--steps", "3", "--out", str(tmp_path)] if "launch" in block else []
    environment = {k: v for k, v in os.environ.items() if k != "JAX_NUM_CPU_DEVICES"}
    environment["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"  # compilation is what costs
    result = subprocess.run(
        [sys.executable, str(script), *options],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr


def test_the_tables_are_made_from_the_results():
    assert with_tables(README, tables(ROOT / "results", NOT_RUN)) == README


def test_results_name_no_place_of_a_machine():
    for path in (ROOT / "results").glob("*.json"):
        assert not re.search(r'"/|--out|--data-dir|--name', path.read_text()), path


def summary(*values: float) -> dict:
    return {"mean": sum(values) / len(values), "std": 0.25, "values": list(values)}


def record(test: dict, command: str = "python -m experiments.vision.mnist_mlp", **entries) -> dict:
    return {
        "headline": "accuracy", "test": test, "seconds": 61.6, "command": command,
        "environment": {"processor": "a CPU", "git_commit": "abc"}, **entries,
    }  # fmt: skip


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_a_result_is_a_row():
    found = record({"accuracy": summary(0.9, 0.95), "loss": summary(1, 2)}, source="0.98 (course)")
    (row,) = rows("mnist_mlp", found)
    assert cells(row) == [
        "mnist_mlp", "0.98 (course)", "accuracy", "0.9250 ± 0.2500", "2", "a CPU", "1:02",
        "`python -m experiments.vision.mnist_mlp`",
    ]  # fmt: skip
    assert len(cells(row)) == len(cells(HEAD[0]))


def test_one_value_has_no_deviation_and_repeated_evaluations_are_said():
    found = record({"loss": summary(0.5)}, headline="loss", source=None, test_evaluations=3)
    (row,) = rows("any", found)
    said = "0.5000 (test set evaluated 3 times)"
    assert cells(row)[1:5] == ["none", "loss", said, "1"]


def test_learners_that_were_compared_are_a_row_each():
    compared = {"plain": {"accuracy": summary(0.5)}, "both": {"accuracy": summary(0.75)}}
    first, second = rows("norms", record(compared))
    assert cells(first)[0] == "norms: plain"
    assert cells(first)[6] == "1:02 for all of them"
    assert cells(second)[0] == "norms: both"
    assert cells(second)[3] == "0.7500"
    assert cells(second)[6:] == ["as above", "as above"]


def test_a_result_without_a_headline_is_no_row():
    found = record({"accuracy": summary(0.5)})
    del found["headline"]
    assert list(rows("old", found)) == []


def test_there_is_a_table_for_each_subject(tmp_path: Path):
    for name, command in {
        "b": "python -m experiments.vision.mnist_mlp --seeds 3",
        "a": "python -m experiments.vision.mnist_cnn",
        "c": "python -m experiments.basics.logistic",
    }.items():
        found = record({"accuracy": summary(0.5)}, command)
        (tmp_path / f"{name}.json").write_text(json.dumps(found))
    lines = tables(tmp_path, {"d": ("python -m experiments.vision.d", "no data")})
    assert lines[:2] == ["**basics**", ""]
    assert lines[2:4] == HEAD
    assert [line.split()[1] for line in lines if "python" in line] == ["c", "a", "b", "d"]
    assert cells(lines[-1])[3:] == [
        "not run: no data",
        "",
        "",
        "",
        "`python -m experiments.vision.d`",
    ]
    assert with_tables(f"x\n{BEGIN}\nold\n{END}\ny", lines) == "\n".join(
        ["x", BEGIN, *lines, END, "y"]
    )
    assert subject("python -m experiments.quickstart --model cnn") == "quickstart"


@pytest.mark.parametrize("commit", [None, "abc-dirty"])
def test_a_result_of_code_that_was_not_committed_is_refused(tmp_path: Path, commit: str | None):
    found = record({"accuracy": summary(0.5)})
    found["environment"]["git_commit"] = commit
    (tmp_path / "mine.json").write_text(json.dumps(found))
    with pytest.raises(ValueError, match=r"the commit of mine.json is .*: run it again"):
        tables(tmp_path)
