"""The experiments on images, as a user starts them, on the digits."""

import dataclasses
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dl_jax.runs.launch import parse

SCRIPTS = {
    "quickstart": ("--model", "cnn"),
    "vision.mnist_mlp": ("--depth", "2", "--width", "16"),
    "vision.mnist_cnn": ("--filters", "4", "4"),
    "vision.fashion_mlp": ("--widths", "16", "16"),
    "vision.fashion_cnn": ("--compute-dtype", "bfloat16"),
}
FIGURES = {
    "data", "training_curves", "confusion_matrix", "predictions", "confident_mistakes",
    "calibration", "first_layer_filters",
}  # fmt: skip


def call(*arguments: str) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if k != "JAX_NUM_CPU_DEVICES"}
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("script", "options"), SCRIPTS.items(), ids=SCRIPTS.keys())
def test_a_script_runs_from_start_to_figures(tmp_path: Path, script: str, options: tuple[str, ...]):
    result = call(
        "-m", f"experiments.{script}", "--dataset", "digits", "--seeds", "2", "--steps", "6",
        "--evaluate-every", "3", "--out", str(tmp_path), "--name", "run", *options,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "test accuracy" in result.stdout
    record = json.loads((tmp_path / "run" / "result.json").read_text())
    assert len(record["test"]["accuracy"]["values"]) == 2
    assert record["steps"] == 6
    drawn = {path.stem for path in (tmp_path / "run" / "figures").glob("*.png")}
    assert drawn == FIGURES


@pytest.mark.slow
@pytest.mark.parametrize(("model", "least"), [("mlp", 0.97), ("cnn", 0.98)])
def test_the_quick_start_reaches_the_promised_accuracy(tmp_path: Path, model: str, least: float):
    result = call("-m", "experiments.quickstart", "--model", model, "--out", str(tmp_path),
                  "--name", "run", "--seeds", "3")  # fmt: skip
    assert result.returncode == 0, result.stderr
    record = json.loads((tmp_path / "run" / "result.json").read_text())
    assert record["test"]["accuracy"]["mean"] >= least


def leaves(config, path=()):
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from leaves(value, (*path, field.name))
        else:
            yield (*path, field.name), value


OTHER = {
    "image_size": (16, 24), "steps": 7, "name": "mine", "data_dir": Path("data"), "require": "cpu",
    "dataset": "cifar10", "model": "cnn", "compute_dtype": "bfloat16", "optimizer": "sgd",
    "schedule": "constant", "monitor": "loss", "monitor_mode": "max", "dataset_on_device": "never",
    "loop": "python", "out": Path("elsewhere"), "filters": (3, 5), "widths": (7, 9), "warmup": 0.25,
}  # fmt: skip


def another(name: str, value):
    """A value that is not the default."""
    if isinstance(value, bool):
        return not value
    if name in OTHER:
        return OTHER[name]
    return type(value)(value + 1 if isinstance(value, int) else value / 2 + 0.125)


def as_options(name: str, value) -> list[str]:
    option = "--" + name.replace("_", "-")
    if isinstance(value, bool):
        return [option if value else "--no-" + option[2:]]
    values = value if isinstance(value, tuple) else (value,)
    return [option, *map(str, values)]


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_field_can_be_set(script: str):
    config_class = importlib.import_module(f"experiments.{script}").Config
    expected = {path: another(path[-1], value) for path, value in leaves(config_class())}
    options = [word for path, value in expected.items() for word in as_options(path[-1], value)]
    assert dict(leaves(parse(config_class, options))) == expected
    assert all(expected[path] != value for path, value in leaves(config_class()))


def test_all_experiments_are_listed_with_one_line_each():
    result = call("-m", "experiments")
    assert result.returncode == 0, result.stderr
    flat = " ".join(result.stdout.split())
    for script in (*SCRIPTS, "basics.regression", "basics.loss_landscape"):
        assert script in flat
    assert "Quick start" in flat


def test_help_explains_every_field():
    result = call("-m", "experiments.vision.mnist_cnn", "--help")
    assert result.returncode == 0
    for option in ("--seeds", "--resume", "--out", "--dataset", "--data-dir", "--filters"):
        assert option in result.stdout
    assert "trained side by side in one compiled program" in " ".join(
        result.stdout.replace("│", " ").split()
    )
