"""The command line: one clear sentence and an exit code for all that a user can get wrong."""

import re
from pathlib import Path

import pytest

from dl_jax.errors import RunError
from dl_jax.runs import launch
from dl_jax.runs.checkpoints import Checkpoints
from dl_jax.training import fit
from experiments import quickstart
from tests.prepared import prepare
from tests.runs.damage import empty_files, reads_damage
from tests.training.tiny import (
    assert_same_bits,
    tiny_config,
    tiny_data,
    tiny_learner,
    tiny_run,
)


def run_script(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, *arguments: str
) -> tuple[int, str]:
    """Exit code and the last thing said on standard error."""
    monkeypatch.setattr("sys.argv", ["quickstart", *arguments])
    try:
        launch(quickstart.Config, quickstart.main)
    except SystemExit as end:
        return int(end.code or 0), capsys.readouterr().err.strip()
    return 0, capsys.readouterr().err.strip()


BAD = {
    "unknown dataset": (["--dataset", "mnits"], "dataset 'mnits' is unknown.*mean 'mnist'"),
    "not prepared": (["--dataset", "cifar100"], "'cifar100' is not prepared in .*tfds build"),
    "unknown model": (["--model", "ccn"], "model is 'ccn', expected one of cnn, mlp; .*'cnn'"),
    "unknown option": (["--epoch", "3"], "option '--epoch' is unknown; .*'--epochs'"),
    "large batch": (["--batch-size", "9999"], "batch_size is 9999, expected .* 1318 examples"),
    "negative rate": (["--learning-rate", "-1"], "learning_rate is -1.0, expected greater than 0"),
    "no seeds": (["--seeds", "0"], "seeds is 0, expected at least 1"),
    "bad name": (["--name", "../x"], "name is '../x', expected letters"),
    "no gpu": (["--require", "gpu"], "backend 'gpu' is required, but JAX runs on 'cpu'"),
    "nothing to resume": (["--resume"], "there is no run of quickstart in .* to resume"),
    "no number": (["--epochs", "many"], "^error: --epochs: could not convert .* 'many' "),
    "no value": (["--epochs"], "^error: .*--epochs"),
    "no such choice": (["--optimizer", "adma"], "^error: invalid choice 'adma' .*'adam'"),
    "no such metric": (["--monitor", "acc"], "monitor is 'acc', expected one of accuracy, loss"),
    "bad type": (["--compute-dtype", "float16"], "compute_dtype is 'float16', expected one of"),
}


@pytest.mark.parametrize(("arguments", "sentence"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_done(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    tmp_path: Path,
    arguments: list[str],
    sentence: str,
):
    common = ["--out", str(tmp_path / "runs"), "--data-dir", str(tmp_path)]
    code, said = run_script(monkeypatch, capsys, *common, *arguments)
    assert code == 2
    assert len(said.splitlines()) == 1
    assert said.startswith("error: ")
    assert re.search(sentence, said), said
    assert not list((tmp_path / "runs").glob("*"))  # nothing is left behind


def test_a_run_that_fails_has_exit_code_1(monkeypatch, capsys, tmp_path: Path):
    common = ("--out", str(tmp_path), "--name", "mine", "--steps", "6", "--evaluate-every", "3")
    arguments = (*common, "--learning-rate", "1e6", "--optimizer", "sgd", "--model", "cnn")
    code, said = run_script(monkeypatch, capsys, *arguments)
    assert code == 1
    assert re.match("error: the loss is not finite at step [1-5]", said), said


@reads_damage
def test_a_run_whose_checkpoints_are_damaged(monkeypatch, capsys, tmp_path: Path):
    """From the command line: the newest damaged goes on from the one before; all damaged, 1."""
    common = ("--out", str(tmp_path), "--name", "mine", "--steps", "6", "--evaluate-every", "3")
    assert run_script(monkeypatch, capsys, *common) == (0, "")
    steps = tmp_path / "mine" / "checkpoints"
    empty_files(steps / "6")
    assert run_script(monkeypatch, capsys, *common, "--resume") == (0, "")
    assert sorted(path.name for path in steps.iterdir()) == ["3", "6", "damaged-6"]
    empty_files(steps / "3")
    empty_files(steps / "6")
    code, said = run_script(monkeypatch, capsys, *common, "--resume")
    assert code == 1
    assert re.match("error: every checkpoint in .* is damaged .*: nothing was restored", said)


def test_a_missing_data_directory(monkeypatch, capsys, tmp_path: Path):
    missing = str(tmp_path / "missing")
    code, said = run_script(monkeypatch, capsys, "--dataset", "mnist", "--data-dir", missing)
    assert code == 2
    assert f"there is no folder {missing}" in said


def test_a_corrupt_record(monkeypatch, capsys, tmp_path: Path):
    prepare(tmp_path, corrupt=3)
    monkeypatch.setenv("DL_JAX_CACHE", str(tmp_path / "cache"))
    code, said = run_script(
        monkeypatch, capsys, "--dataset", "tiny_images", "--data-dir", str(tmp_path)
    )
    assert code == 2
    assert "record 3 of 'tiny_images'" in said


def test_a_run_with_another_configuration(monkeypatch, capsys, tmp_path: Path):
    common = ("--out", str(tmp_path), "--name", "mine", "--steps", "2", "--evaluate-every", "2")
    code, said = run_script(monkeypatch, capsys, *common)
    assert (code, said) == (0, "")
    code, said = run_script(monkeypatch, capsys, *common, "--resume", "--seeds", "2")
    assert code == 2
    assert "another configuration: seeds (was 1, now 2)" in said
    code, said = run_script(monkeypatch, capsys, *common)
    assert code == 2
    assert "already exists: choose another --name, or add --resume" in said


@reads_damage
def test_checkpoints_that_are_all_damaged(tmp_path: Path):
    run = tiny_run(tmp_path)
    fit(tiny_learner(), tiny_data(), tiny_config(epochs=1), run)
    for step in run.checkpoints.iterdir():
        empty_files(step)
    with pytest.raises(RunError, match="every checkpoint in .* is damaged"):
        fit(tiny_learner(), tiny_data(), tiny_config(), tiny_run(tmp_path, resumed=True))


@reads_damage
def test_a_damaged_newest_checkpoint_costs_only_its_steps(tmp_path: Path):
    whole = fit(tiny_learner(), tiny_data(), tiny_config(), tiny_run(tmp_path / "whole"))
    run = tiny_run(tmp_path / "damaged")
    fit(tiny_learner(), tiny_data(), tiny_config(steps=16), run)
    empty_files(run.checkpoints / "16")
    resumed = fit(
        tiny_learner(), tiny_data(), tiny_config(), tiny_run(tmp_path / "damaged", resumed=True)
    )
    assert_same_bits(resumed.state, whole.state)
    assert (run.checkpoints / "damaged-16").is_dir()


def test_a_full_disk_while_logging_ends_the_run_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = tiny_run(tmp_path)
    run.metrics_file.symlink_to("/dev/full")
    with pytest.raises(RunError, match=r"metrics.jsonl cannot be written \(No space left"):
        fit(tiny_learner(), tiny_data(), tiny_config(), run)


def test_a_failed_checkpoint_is_a_warning_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    original = Checkpoints.save

    def save(self, step, tree):
        if step == 12:
            return self._give_up(step, OSError(28, "No space left on device"))
        return original(self, step, tree)

    monkeypatch.setattr(Checkpoints, "save", save)
    fitted = fit(tiny_learner(), tiny_data(), tiny_config(), tiny_run(tmp_path))
    assert fitted.state.step == 24
    said = capsys.readouterr().out
    assert "warning: the checkpoint of step 12 could not be saved" in said
    assert "that of step 8 is kept; the run goes on" in said
