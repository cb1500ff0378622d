"""Every experiment from start to figures on its small data."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dl_jax.runs import load_run
from dl_jax.runs.launch import parse
from dl_jax.training import predict
from tests.experiments.scripts import NAMES, SCRIPTS, module_of, start


def drawn(run: Path) -> set[str]:
    return {path.stem for path in (run / "figures").glob("*.png")}


@pytest.mark.parametrize(
    "script",
    [pytest.param(n, marks=[pytest.mark.slow] if s.slow else []) for n, s in SCRIPTS.items()],
)
def test_a_script_runs_draws_resumes_and_can_be_read_back(
    request, tmp_path, monkeypatch, capsys, script
):
    """The second time, figures are made and not rendered."""
    described = SCRIPTS[script]
    if described.needs:
        pytest.importorskip(described.needs)
    if not described.rendered:
        request.getfixturevalue("without_rendering")
    run, records, options = tmp_path / "run", [], (*described.options, "--out", str(tmp_path))
    for resume in ((), ("--resume",)):
        start(monkeypatch, script, *options, "--name", "run", *resume)
        records.append(json.loads((run / "result.json").read_text()))
        assert f"result.json in {run}" in capsys.readouterr().out
        assert drawn(run) == {"data", *described.figures}
        request.getfixturevalue("without_rendering")
    first, again = (record["test"] for record in records)
    if described.repeats:
        assert first == again
    headline = records[0]["headline"]
    each = {".": first} if headline in first else first
    assert all(isinstance(of[headline]["mean"], float) for of in each.values())
    for folder, of in zip(described.described, each.values(), strict=False):
        loaded = load_run(run / folder, replica=0)
        if described.on_images:
            test = parse(module_of(script).Config, list(options)).data.load()["test"]
            logits = predict(loaded.model, loaded.params, loaded.model_state, test)
            right = (logits.argmax(-1) == test.arrays["label"]).mean()
            assert right == of["accuracy"]["values"][0]


def test_optimize_surface(tmp_path: Path, monkeypatch):
    for surface in ("rosenbrock", "rastrigin"):
        start(
            monkeypatch, "basics.optimize_surface", "--surface", surface, "--steps", "5",
            "--out", str(tmp_path), "--name", surface,
        )  # fmt: skip
        record = json.loads((tmp_path / surface / "result.json").read_text())
        assert set(record["last"]) == {"sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"}
        assert drawn(tmp_path / surface) == {"paths", "heights"}


def test_all_experiments_are_listed_with_one_line_each():
    result = subprocess.run(
        [sys.executable, "-m", "experiments"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    flat = " ".join(result.stdout.split())
    assert all(script in flat for script in NAMES)
    assert "Quick start" in flat


@pytest.mark.slow
@pytest.mark.parametrize(("model", "least"), [("mlp", 0.97), ("cnn", 0.98)])
def test_the_quick_start_reaches_the_promised_accuracy(tmp_path, monkeypatch, model, least):
    start(monkeypatch, "quickstart", "--model", model, "--out", str(tmp_path), "--name", "run",
          "--seeds", "3")  # fmt: skip
    record = json.loads((tmp_path / "run" / "result.json").read_text())
    assert record["test"]["accuracy"]["mean"] >= least
