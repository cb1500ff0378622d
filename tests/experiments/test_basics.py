"""The experiments on basics, as a user starts them, with few steps."""

import json
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest

from dl_jax.data import SPLITS
from dl_jax.errors import UsageError
from dl_jax.runs import RunOptions
from dl_jax.training import FitConfig
from experiments.basics import (
    batchnorm_dropout,
    logistic,
    loss_landscape,
    optimize_surface,
    optimizers_and_initializers,
    quantile_labels,
    regression,
    three_ways,
    toy_classification,
)
from experiments.vision import mnist_cnn, mnist_mlp
from tests.experiments.test_scripts import call

SCRIPTS = {
    "toy_classification": (
        ("--dataset", "xor", "--examples", "60", "--loss", "l2", "--animate", "3", "--seeds", "2"),
        {"decision_boundary", "training_curves"},
    ),
    "logistic": (
        ("--degree", "2", "--examples", "60", "--seeds", "2"),
        {"decision_boundary", "training_curves"},
    ),
    "regression": (("--widths", "4", "--seeds", "2"), {"fit", "training_curves"}),
    "three_ways": (("--width", "8", "--filters", "4"), {"losses"}),
    "optimizers_and_initializers": (
        ("--width", "8", "--depths", "1", "2"),
        {"validation_accuracy", "test_accuracy", "activations", "gradients"},
    ),
    "batchnorm_dropout": (
        ("--width", "8", "--depth", "2", "--examples", "60"),
        {"training_loss", "validation_accuracy", "gradient_flow"},
    ),
    "custom_layers": (("--width", "16", "--parts", "2", "--seeds", "2"), {"accuracy"}),
    "quantile_labels": (
        ("--widths", "8", "--bins", "4", "--seeds", "2"),
        {"class_balance", "confusion_quantile", "confusion_uniform"},
    ),
    "loss_landscape": (
        ("--width", "8", "--depth", "1", "--points", "5"),
        {"landscape", "training_curves"},
    ),
}
TRAINED = ("--steps", "6", "--evaluate-every", "3", "--batch-size", "20")


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_runs_resumes_and_draws(tmp_path: Path, script: str):
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
        results.append(record.get("test") or record["chosen"])
    if script != "custom_layers":  # which measures its speed
        assert results[0] == results[1]
    drawn = {path.stem for path in (tmp_path / "run" / "figures").glob("*.png")}
    assert drawn == {"data", *figures}
    if "--animate" in options:
        assert (tmp_path / "run" / "figures" / "decision_boundary.gif").stat().st_size > 1000


def test_quantile_labels_reads_tables_from_files(tmp_path: Path):
    """California housing, a CSV file, and messages when either is missing."""
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
        assert set(record["test"]) == {"quantile", "uniform"}
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
def test_optimize_surface(tmp_path: Path, surface: str):
    done = call(
        "-m", "experiments.basics.optimize_surface", "--surface", surface, "--steps", "5",
        "--out", str(tmp_path), "--name", "run",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "run" / "result.json").read_text())
    assert set(record["last"]) == {"sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"}
    drawn = {path.stem for path in (tmp_path / "run" / "figures").glob("*.png")}
    assert drawn == {"paths", "heights"}


@pytest.mark.parametrize("dataset", get_args(get_type_hints(toy_classification.Config)["dataset"]))
def test_toy_classification_reaches_99_percent_with_its_defaults(tmp_path: Path, dataset: str):
    config = toy_classification.Config(dataset=dataset, run=RunOptions(out=tmp_path, name="run"))
    toy_classification.main(config)
    record = json.loads((tmp_path / "run" / "result.json").read_text())
    assert record["test"]["accuracy"]["mean"] >= 0.99


def test_observations_of_a_regression_are_nested_in_their_number():
    few, more = (
        [regression.observations(split, regression.Config(examples=n)).arrays for split in SPLITS]
        for n in (20, 21)
    )
    for a, b in zip(few, more, strict=True):
        assert all((a[name] == b[name][:20]).all() for name in ("x", "y"))
    assert len({float(arrays["x"][0, 0]) for arrays in few}) == 3


@pytest.mark.parametrize(
    ("module", "field", "value"),
    [
        (logistic, "noise", float("inf")),
        (logistic, "noise", float("nan")),
        (logistic, "examples", 10**30),
        (toy_classification, "examples", 10**30),
        (toy_classification, "animate", 10**30),
        (toy_classification, "animate", 1),
        (loss_landscape, "points", 100_000),
        (quantile_labels, "bins", 100_000),
        (optimize_surface, "steps", 2**31),
        (optimize_surface, "steps", 0),
        (batchnorm_dropout, "depth", 10**9),
        (three_ways, "width", 10**30),
        (optimizers_and_initializers, "depths", ()),
        (mnist_mlp, "depth", 10**9),
        (mnist_cnn, "shift", -1),
        (mnist_cnn, "shift", 10**30),
    ],
)
def test_values_without_sense_are_refused_in_words(module, field: str, value):
    with pytest.raises(UsageError, match=rf"^{field} (is|are) .*expected (at least|greater)"):
        module.Config(**{field: value})


def test_a_run_that_is_refused_leaves_no_directory(tmp_path: Path):
    fit = FitConfig(steps=1, batch_size=8)
    run = RunOptions(out=tmp_path, name="run")
    with pytest.raises(UsageError, match="seeds is 0"):
        three_ways.main(three_ways.Config(seeds=0, fit=fit, run=run))
    with pytest.raises(UsageError, match="shift is .*at most 8"):
        mnist_cnn.main(mnist_cnn.Config(dataset="digits", shift=9, fit=fit, run=run))
    assert not list(tmp_path.iterdir())
