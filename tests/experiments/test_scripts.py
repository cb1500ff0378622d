"""Every experiment, as a user starts it, on the digits that come with the installation."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dl_jax.huge_pages import restart_with_huge_pages

SCRIPTS = {
    "quickstart": ("--model", "cnn"),
    "vision.mnist_mlp": ("--depth", "2", "--width", "16"),
    "vision.mnist_cnn": ("--filters", "4", "4"),
    "vision.fashion_mlp": ("--widths", "16", "16"),
    "vision.fashion_cnn": ("--compute-dtype", "bfloat16"),
}
FIGURES = {
    "training_curves", "confusion_matrix", "predictions", "confident_mistakes", "calibration",
    "first_layer_filters",
}  # fmt: skip


def call(*arguments: str) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if k != "JAX_NUM_CPU_DEVICES"}
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("script", "options"), SCRIPTS.items(), ids=SCRIPTS.keys())
def test_it_runs_from_start_to_figures(tmp_path: Path, script: str, options: tuple[str, ...]):
    result = call(
        "-m", f"experiments.{script}", "--dataset", "digits", "--seeds", "2", "--steps", "6",
        "--evaluate-every", "3", "--out", str(tmp_path), "--name", "run", *options,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "test accuracy" in result.stdout
    record = json.loads((tmp_path / "run" / "result.json").read_text())
    assert len(record["test"]["accuracy"]["runs"]) == 2
    assert record["steps"] == 6
    drawn = {path.stem for path in (tmp_path / "run" / "figures").glob("*.png")}
    assert drawn == FIGURES


def test_they_are_listed_with_one_line_each():
    result = call("-m", "experiments")
    assert result.returncode == 0, result.stderr
    flat = " ".join(result.stdout.split())
    for script in SCRIPTS:
        assert f"python -m experiments.{script}" in flat
    assert "Quick start" in flat


def test_help_explains_every_field():
    result = call("-m", "experiments.vision.mnist_cnn", "--help")
    assert result.returncode == 0
    for option in ("--seeds", "--resume", "--out", "--dataset", "--data-dir", "--filters"):
        assert option in result.stdout
    assert "side by side in one compiled program" in " ".join(
        result.stdout.replace("│", " ").split()
    )


def test_importing_an_experiment_restarts_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.execv", lambda *_: pytest.fail("restarted"))
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    for command in (["python", "-m", "pytest"], ["python", "script.py"], ["python", "-m"]):
        monkeypatch.setattr("sys.orig_argv", command)
        restart_with_huge_pages("experiments")
