"""What single experiments promise, beside running from start to figures."""

import json
import re
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest

from dl_jax.data import SPLITS, ImageData, ToyData
from dl_jax.errors import UsageError
from dl_jax.runs import Run, RunOptions
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
from tests.experiments.scripts import TRAINED, start


@pytest.mark.usefixtures("without_rendering")
def test_quantile_labels_reads_tables_from_files(tmp_path: Path, monkeypatch, capsys):
    """California housing, a CSV file, and messages when either is missing."""
    random, lines = np.random.default_rng(0), ["longitude,ocean_proximity,median_house_value"]
    lines += [f"{x:.3f},{'INLAND' if x < 0 else ''},{x * 1e5:.0f}" for x in random.normal(size=80)]
    (tmp_path / "housing.csv").write_text("\n".join(lines) + "\n")
    script = ("basics.quantile_labels", *TRAINED, "--out", str(tmp_path))
    own = ("--dataset", str(tmp_path / "housing.csv"))
    for name, options in {
        "housing": ("--dataset", "california_housing", "--data-dir", str(tmp_path)),
        "own": (*own, "--target", "longitude", "--seeds", "1"),
    }.items():
        start(monkeypatch, *script, *options, "--widths", "8", "--bins", "3", "--name", name)
        record = json.loads((tmp_path / name / "result.json").read_text())
        assert set(record["test"]) == {"quantile", "uniform"}
        assert record["test"]["uniform"]["classes"] == 3
    capsys.readouterr()
    for options, said in {
        own: "target is missing",
        (*own, "--target", "price"): "no column 'price'",
        ("--dataset", "california_housing"): "take housing.csv from",
    }.items():
        with pytest.raises(SystemExit) as end:
            start(monkeypatch, *script, *options, "--name", "failed")
        assert end.value.code == 2
        assert said in capsys.readouterr().err
        assert not (tmp_path / "failed").exists()


@pytest.mark.usefixtures("without_rendering")
@pytest.mark.parametrize("dataset", get_args(get_type_hints(ToyData)["dataset"]))
def test_toy_classification_reaches_99_percent_with_its_defaults(tmp_path: Path, dataset: str):
    options = RunOptions(out=tmp_path, name="run")
    toy_classification.main(toy_classification.Config(data=ToyData(dataset), run=options))
    record = json.loads((tmp_path / "run" / "result.json").read_text())
    assert record["test"]["accuracy"]["mean"] >= 0.99


def test_an_animation_shows_the_training_that_is_reported(tmp_path: Path, monkeypatch):
    """Also of a run that crashed between two frames and was resumed."""
    script = (
        "basics.toy_classification", "--examples", "60", "--widths", "8", "--steps", "20",
        "--batch-size", "20", "--animate", "5", "--seeds", "2", "--out", str(tmp_path),
    )  # fmt: skip
    start(monkeypatch, *script, "--name", "whole")

    def crash(self, row):
        if row["split"] == "validation" and row["step"] == 12:
            raise KeyError("crash")
        return log(self, row)

    with monkeypatch.context() as patch:
        log = Run.log
        patch.setattr(Run, "log", crash)
        with pytest.raises(KeyError, match="crash"):
            start(patch, *script, "--name", "crashed")
    assert not (tmp_path / "crashed" / "figures").exists()
    start(monkeypatch, *script, "--name", "crashed", "--resume")
    runs = [tmp_path / name for name in ("whole", "crashed")]
    frames = [{p.stem: p.read_bytes() for p in (run / "frames").iterdir()} for run in runs]
    assert [int(step) for step in sorted(frames[0])] == [4, 8, 12, 16, 20]
    assert frames[0] == frames[1]
    animations = [(run / "figures" / "decision_boundary.gif").read_bytes() for run in runs]
    assert animations[0] == animations[1]
    assert len(animations[0]) > 1000
    results = [json.loads((run / "result.json").read_text())["test"] for run in runs]
    assert results[0] == results[1]
    rows = [row["step"] for row in Run(runs[0]).history() if row["split"] == "validation"]
    assert rows == [4, 8, 12, 16, 20]


def test_observations_of_a_regression_are_nested_in_their_number():
    few, more = (
        [regression.observations(split, regression.Config(examples=n)).arrays for split in SPLITS]
        for n in (20, 21)
    )
    for a, b in zip(few, more, strict=True):
        assert all((a[name] == b[name][:20]).all() for name in ("x", "y"))
    assert len({float(arrays["x"][0, 0]) for arrays in few}) == 3


def test_polynomial_features():
    points = np.array([[2.0, 3.0]], np.float32)
    features = logistic.polynomial_features(points, 3)
    assert features.tolist() == [[2, 3, 4, 6, 9, 8, 12, 18, 27]]
    assert features.dtype == np.float32


@pytest.mark.parametrize(
    ("config_class", "field", "value"),
    [
        (ToyData, "noise", float("inf")),
        (ToyData, "noise", float("nan")),
        (ToyData, "examples", 10**30),
        (toy_classification.Config, "animate", 10**30),
        (toy_classification.Config, "animate", 1),
        (logistic.Config, "degree", 0),
        (loss_landscape.Config, "points", 100_000),
        (quantile_labels.Config, "bins", 100_000),
        (optimize_surface.Config, "steps", 2**31),
        (optimize_surface.Config, "steps", 0),
        (batchnorm_dropout.Config, "depth", 10**9),
        (three_ways.Config, "width", 10**30),
        (optimizers_and_initializers.Config, "depths", ()),
        (mnist_mlp.Config, "depth", 10**9),
        (mnist_cnn.Config, "shift", -1),
        (mnist_cnn.Config, "shift", 10**30),
    ],
    ids=lambda value: re.sub(r".*\.(\w+)\.Config.*", r"\1", str(value)),
)
def test_values_without_sense_are_refused_in_words(config_class, field: str, value):
    with pytest.raises(UsageError, match=rf"^{field} (is|are) .*expected (at least|greater)"):
        config_class(**{field: value})


def test_a_run_that_is_refused_leaves_no_directory(tmp_path: Path):
    fit = FitConfig(steps=1, batch_size=8)
    run = RunOptions(out=tmp_path, name="run")
    with pytest.raises(UsageError, match="seeds is 0"):
        three_ways.main(three_ways.Config(seeds=0, fit=fit, run=run))
    data = ImageData("digits")
    with pytest.raises(UsageError, match="shift is .*at most 8"):
        mnist_cnn.main(mnist_cnn.Config(data=data, shift=9, fit=fit, run=run))
    assert not list(tmp_path.iterdir())
