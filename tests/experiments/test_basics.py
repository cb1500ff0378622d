"""The experiments on basics, as a user starts them, shortened."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.experiments.test_scripts import call

SCRIPTS = {
    "toy_classification": (
        ("--dataset", "xor", "--examples", "60", "--loss", "l2", "--animate", "3", "--seeds", "2"),
        {"border", "training_curves"},
    ),
    "logistic": (
        ("--degree", "2", "--examples", "60", "--seeds", "2"),
        {"border", "training_curves"},
    ),
    "regression": (("--widths", "4", "--seeds", "2"), {"fit", "training_curves"}),
    "three_ways": (("--width", "8", "--filters", "4"), {"losses"}),
    "optimizers_and_initializers": (
        ("--width", "8", "--depths", "1", "2"),
        {"accuracies", "activations", "gradients"},
    ),
    "batchnorm_dropout": (
        ("--width", "8", "--depth", "2", "--examples", "60"),
        {"training_loss", "validation_accuracy", "gradient_flow"},
    ),
    "custom_layers": (("--width", "16", "--parts", "2", "--seeds", "2"), {"accuracy"}),
    "quantile_labels": (
        ("--widths", "8", "--bins", "4", "--seeds", "2"),
        {"class_balance", "confusion_equal_counts", "confusion_equal_widths"},
    ),
    "loss_landscape": (
        ("--width", "8", "--depth", "1", "--points", "5"),
        {"landscape", "training_curves"},
    ),
}
TRAINED = ("--steps", "6", "--evaluate-every", "3", "--batch-size", "20")


@pytest.mark.parametrize("script", SCRIPTS)
def test_it_runs_resumes_and_draws(tmp_path: Path, script: str):
    options, figures = SCRIPTS[script]
    common = (
        "-m", f"experiments.basics.{script}", *options, *TRAINED, "--out", str(tmp_path), "--name",
        "run",
    )  # fmt: skip
    results = []
    for resume in ((), ("--resume",)):
        done = call(*common, *resume)
        assert done.returncode == 0, done.stderr
        record = json.loads((tmp_path / "run" / "result.json").read_text())
        results.append(record["test"])
    if script != "custom_layers":  # which measures its speed
        assert results[0] == results[1]
    assert {path.stem for path in (tmp_path / "run" / "figures").glob("*.png")} == figures
    if "--animate" in options:
        assert (tmp_path / "run" / "figures" / "border.gif").stat().st_size > 1000


def test_tables_from_files(tmp_path: Path):
    """California housing, a CSV file of one's own, and what is said when either is not there."""
    random, lines = np.random.default_rng(0), ["longitude,ocean_proximity,median_house_value"]
    lines += [f"{x:.3f},{'INLAND' if x < 0 else ''},{x * 1e5:.0f}" for x in random.normal(size=80)]
    (tmp_path / "housing.csv").write_text("\n".join(lines) + "\n")
    script = ("-m", "experiments.basics.quantile_labels", *TRAINED, "--out", str(tmp_path))
    own = ("--dataset", str(tmp_path / "housing.csv"))
    for name, options in {
        "housing": ("--dataset", "california_housing", "--data-dir", str(tmp_path)),
        "own": (*own, "--target", "longitude", "--seeds", "1"),
    }.items():
        done = call(*script, *options, "--widths", "8", "--bins", "3", "--name", name)
        assert done.returncode == 0, done.stderr
        record = json.loads((tmp_path / name / "result.json").read_text())
        assert set(record["test"]) == {"equal counts", "equal widths"}
    for options, said in {
        own: "target is missing",
        (*own, "--target", "price"): "no column 'price'",
        ("--dataset", "california_housing"): "take housing.csv from",
    }.items():
        failed = call(*script, *options, "--name", "failed")
        assert failed.returncode == 2
        assert said in failed.stderr
        assert "Traceback" not in failed.stderr
        assert not (tmp_path / "failed").exists()


@pytest.mark.parametrize("surface", ["rosenbrock", "rastrigin"])
def test_surfaces(tmp_path: Path, surface: str):
    done = call(
        "-m", "experiments.basics.optimize_surface", "--surface", surface, "--steps", "5",
        "--out", str(tmp_path), "--name", "run",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "run" / "result.json").read_text())
    assert set(record["last"]) == {"sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"}
    drawn = {path.stem for path in (tmp_path / "run" / "figures").glob("*.png")}
    assert drawn == {"paths", "heights"}


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["swiss_roll", "xor"])
def test_a_border_is_learned(tmp_path: Path, dataset: str):
    done = call(
        "-m", "experiments.basics.toy_classification", "--dataset", dataset, "--seeds", "3",
        "--out", str(tmp_path), "--name", "run",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "run" / "result.json").read_text())
    assert record["test"]["accuracy"]["mean"] >= 0.99
