"""`report` and `report_each`: what they write, print and refuse, whatever was trained."""

import json
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax import plots
from dl_jax.data import Dataset
from dl_jax.errors import RunError, UsageError
from dl_jax.learners import TrainState
from dl_jax.reports import data_figure, report, report_each
from dl_jax.runs import Run, RunOptions, open_run
from dl_jax.training import Fitted


@dataclass(frozen=True)
class Config:
    run: RunOptions = RunOptions()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    config = Config(RunOptions(out=tmp_path, name="run"))
    return open_run("any", config, config.run)


def fitted(best_step: list[int] | int, seconds: float = 2.0) -> Fitted:
    """Of a training of nine steps, with replicas where there is a list of their best steps."""
    best = np.array(best_step)
    state = TrainState(jnp.full(best.shape, 9), {}, {}, {}, jnp.zeros(best.shape))
    loss = np.ones(best.shape).tolist()
    row = {"step": 9, "epoch": 1.0, "split": "train", "seconds": seconds, "loss": loss}
    return Fitted(state, state, best, [row], seconds, ({}, {}))


def drawn(run: Run) -> list[str]:
    return sorted(path.stem for path in run.figures.glob("*.png"))


def figure():
    return plots.grouped_bars({"a": np.array([1, 2])}, ["x", "y"], x="x", y="y")


def test_a_report_has_numbers_of_replicas_further_values_and_figures(run: Run, capsys):
    measured = {"accuracy": np.array([0.5, 0.7]), "classes": 3, "of_three": [1, 2, 3]}
    result = report(
        run, fitted([6, 9]), measured, {"bars": figure}, source="0.6 (paper)", extras={"floor": 0.1}
    )
    assert json.loads((run.directory / "result.json").read_text()) == result
    accuracy = result["test"]["accuracy"]
    assert accuracy == {"mean": 0.6, "std": pytest.approx(0.02**0.5), "values": [0.5, 0.7]}
    assert (result["test"]["classes"], result["test"]["of_three"]) == (3, [1, 2, 3])
    said = {name: result[name] for name in ("headline", "source", "test_evaluations", "floor")}
    assert said == {
        "headline": "accuracy", "source": "0.6 (paper)", "test_evaluations": 1, "floor": 0.1
    }  # fmt: skip
    assert (result["best_step"], result["steps"], result["seconds"]) == ([6, 9], 9, 2.0)
    assert {"config", "environment", "command"} <= result.keys()
    assert drawn(run) == ["bars", "training_curves"]
    assert capsys.readouterr().out.startswith("test accuracy 0.6000 ± 0.1414, 2 replicas, 2 s")


@pytest.mark.parametrize("best_step", [4, [4]])
def test_one_replica_has_no_standard_deviation(run: Run, capsys, best_step):
    measured = {"loss": np.full(np.shape(best_step), 0.25)}
    result = report(run, fitted(best_step), measured, headline="loss")
    assert result["test"]["loss"] == {"mean": 0.25, "std": 0.0, "values": [0.25]}
    assert capsys.readouterr().out.startswith("test loss 0.2500, 1 replica, ")


def test_a_headline_that_was_not_measured_is_refused_before_anything_is_written(run: Run):
    measured = {"acuracy": np.array([0.5, 0.7]), "loss": np.ones(2)}
    said = r"^headline is 'accuracy', expected .* measured: acuracy, loss; did you mean 'acuracy'"
    with pytest.raises(UsageError, match=said):
        report(run, fitted([1, 2]), measured)
    with pytest.raises(UsageError, match=said):
        report_each(run, {"a": fitted([1, 2])}, {"a": measured})
    with pytest.raises(UsageError, match="that was measured: nothing$"):
        report(run, fitted([1, 2]), {})
    assert not (run.directory / "result.json").exists()


def test_a_replica_without_a_finite_evaluation_has_nothing_to_report(run: Run):
    with pytest.raises(RunError, match=r"^replica 0 never had a finite evaluation \(2 of 2 did"):
        report(run, fitted([-1, -1]), {"accuracy": np.array([np.nan, np.nan])})
    assert not (run.directory / "result.json").exists()


def test_a_replica_that_diverged_is_marked_and_not_averaged(run: Run, capsys):
    result = report(run, fitted([3, -1, 4]), {"accuracy": np.array([0.5, np.nan, 0.7])})
    found = result["test"]["accuracy"]
    assert found["values"] == [0.5, None, 0.7]
    assert found["mean"] == pytest.approx(0.6)
    assert found["diverged"] == 1
    assert capsys.readouterr().out.startswith("test accuracy 0.6000 ± 0.1414 (1 of 3 diverged), ")


def test_what_was_measured_is_kept_if_drawing_fails(run: Run):
    def fail():
        raise ValueError("no ink")

    with pytest.raises(ValueError, match="no ink"):
        report(run, fitted([1]), {"accuracy": np.ones(1)}, {"first": figure, "second": fail})
    assert (run.directory / "result.json").is_file()
    assert drawn(run) == ["first", "training_curves"]


def test_learners_that_are_compared_have_a_line_each(run: Run, capsys):
    trained = {"plain": fitted([1, 2]), "with more": fitted([2, 2], seconds=3.0)}
    measured = {
        "plain": {"loss": np.array([2.0, 4.0]), "accuracy": np.array([0.5, 0.5]), "size": 1234},
        "with more": {
            "loss": np.array([1.0, 1.0]),
            "accuracy": np.array([0.75, 0.25]),
            "names": [],
        },
    }
    result = report_each(
        run, trained, measured, {"bars": figure}, headline="loss", extras={"largest": 4}
    )
    assert json.loads((run.directory / "result.json").read_text()) == result
    assert result["test"]["plain"]["loss"]["mean"] == 3.0
    assert result["test"]["with more"]["names"] == []
    assert (result["headline"], result["seconds"], result["largest"]) == ("loss", 5.0, 4)
    assert drawn(run) == ["bars"]
    assert capsys.readouterr().out.splitlines() == [
        "plain      loss 3.0000 ± 1.4142, accuracy 0.5000 ± 0.0000, size 1,234",
        "with more  loss 1.0000 ± 0.0000, accuracy 0.5000 ± 0.3536",
        f"figures and result.json in {run.directory}",
    ]


@pytest.mark.parametrize(
    "targets",
    [
        np.arange(8, dtype=np.int32),
        np.arange(8, dtype=np.int32)[:, None],
        np.arange(-4, 4, dtype=np.int32),
        np.arange(8, dtype=np.int32) * 10**6,
        np.linspace(-1, 1, 8, dtype=np.float32)[:, None],
        np.arange(24, dtype=np.int32).reshape(8, 3),
    ],
    ids=["labels", "column", "negative", "large", "floats", "tokens"],
)
def test_the_figure_of_the_data_shows_any_targets(targets: np.ndarray):
    data = {split: Dataset("any", split, {"y": targets}) for split in ("train", "test")}
    assert data_figure(data, "y")().axes


def test_the_figure_of_the_data_needs_targets():
    data = {"train": Dataset("any", "train", {"labels": np.arange(3)})}
    with pytest.raises(UsageError, match="targets is 'label', .*did you mean 'labels'"):
        data_figure(data)


@pytest.mark.parametrize(
    "value", [np.float32(0.5), 0.5, jnp.float32(0.5), [0.5], np.array([0.5]), 1], ids=repr
)
def test_any_number_may_be_the_headline_of_one_replica(run: Run, value):
    result = report(run, fitted(3), {"score": value}, headline="score")
    assert result["test"]["score"]["mean"] == float(np.ravel(value)[0])
    assert json.loads((run.directory / "result.json").read_text()) == result


@pytest.mark.parametrize("value", ["good", [0.1, 0.2, 0.3], {"a": 1.0}, None])
def test_a_headline_that_is_no_number_of_each_replica_is_refused(run: Run, value):
    with pytest.raises(UsageError, match="expected one number for each replica"):
        report(run, fitted([3, 3]), {"score": value}, headline="score")


def test_other_arrays_are_written_as_lists(run: Run):
    measured = {"accuracy": jnp.array([0.5, 0.6]), "confusion": np.eye(3, dtype=int)}
    report(run, fitted([3, 3]), measured)
    written = json.loads((run.directory / "result.json").read_text())["test"]
    assert written["confusion"] == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    np.testing.assert_allclose(written["accuracy"]["values"], [0.5, 0.6], rtol=1e-6)


def test_of_learners_that_are_compared_one_may_be_lost(run: Run, capsys):
    """It is marked; a replica whose last parameters are lost is counted where it was measured."""
    lost = {"w": jnp.array([[1.0], [jnp.nan]])}
    kept = fitted([1, 2])
    kept = kept._replace(state=kept.state.replace(params=lost))
    trained = {"fine": kept, "lost": fitted([-1, -1])}
    measured = {"fine": {"loss": np.ones(2)}, "lost": {"loss": np.full(2, np.nan)}}
    result = report_each(run, trained, measured, headline="loss")
    assert result["test"]["fine"]["diverged"] == 1
    assert result["test"]["lost"]["loss"] == {
        "mean": None, "std": 0.0, "values": [None, None], "diverged": 2
    }  # fmt: skip
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == ["fine  loss 1.0000 ± 0.0000, diverged 1", "lost  loss diverged"]
    with pytest.raises(RunError, match="never had a finite evaluation"):
        report_each(run, {"lost": trained["lost"]}, measured, headline="loss")
