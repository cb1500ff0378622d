"""The command line: one clear sentence and an exit code for all that a user can get wrong."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float, jaxtyped

from dl_jax.errors import RunError, UsageError
from dl_jax.runs import Run, RunOptions, launch, open_run
from dl_jax.runs.checkpoints import Checkpoints
from dl_jax.shape_checks import checked
from dl_jax.training import fit
from experiments import quickstart
from tests.prepared import prepare
from tests.runs.damage import empty_files
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


@pytest.fixture
def without_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """The script ends with its training."""
    monkeypatch.setattr(quickstart, "report_classification", lambda *_, **__: None)


BAD = {
    "unknown dataset": (["--dataset", "mnits"], "dataset 'mnits' is unknown.*mean 'mnist'"),
    "not prepared": (["--dataset", "cifar100"], "'cifar100' is not prepared in .*tfds build"),
    "large batch": (["--batch-size", "9999"], "batch_size is 9999, expected .* 1318 examples"),
    "negative rate": (["--learning-rate", "-1"], "learning_rate is -1.0, expected greater than 0"),
    "no seeds": (["--seeds", "0"], "seeds is 0, expected at least 1"),
    "many seeds": (["--seeds", str(10**30)], "seeds is 10+, expected at least 1 and at most"),
    "many steps": (["--steps", str(2**31)], "steps is 2147483648, expected .* at most 2147483647"),
    "large seed": (["--seed", str(10**30)], "seed is 10+, expected at least 0 and at most"),
    "bad name": (["--name", "../x"], "name is '../x', expected letters"),
    "long name": (["--name", "x" * 300], "name has 300 characters.* shorter --name"),
    "unknown user": (["--out", "~nosuch/x"], "'~nosuch/x'.* choose another --out"),
    "no gpu": (["--require", "gpu"], "backend 'gpu' is required, but JAX runs on 'cpu'"),
    "nothing to resume": (["--resume"], "there is no run of quickstart in .* to resume"),
    "no such metric": (["--monitor", "acc"], "monitor is 'acc', expected one of accuracy, loss"),
}


@pytest.mark.parametrize(("arguments", "sentence"), BAD.values(), ids=BAD.keys())
def test_what_cannot_be_done_is_one_sentence(
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


UNREADABLE = {
    "unknown option": (["--epoch", "3"], "Unrecognized options: --epoch.* --epochs"),
    "no number": (["--epochs", "many"], "--epochs: could not convert string to float: 'many'"),
    "no value": (["--epochs"], "Missing value for argument '--epochs'"),
    "no such choice": (["--optimizer", "adma"], "invalid choice 'adma' .*'adam'"),
    "no such type": (["--compute-dtype", "float16"], "invalid choice 'float16' .*'bfloat16'"),
}


@pytest.mark.parametrize(("arguments", "words"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_options_that_cannot_be_read_are_explained_by_tyro(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, arguments, words: str
):
    code, said = run_script(monkeypatch, capsys, *arguments)
    assert code == 2
    assert re.search(words, " ".join(said.replace("│", " ").split())), said


@dataclass(frozen=True)
class Config:
    run: RunOptions = RunOptions()


@jaxtyped(typechecker=checked)
def of_equal_length(x: Float[Array, "n"], y: Float[Array, "n"]) -> None:
    pass


def fails(error: Exception) -> Callable[[], None]:
    def function() -> None:
        raise error

    return function


FAILURES = {
    "shapes that do not fit": (
        lambda: of_equal_length(jnp.zeros(3), jnp.zeros(2)), 2,
        r"of_equal_length: y is .*\[2\], expected "),
    "too large for numpy": (
        lambda: np.zeros(10**15), 1, "out of memory .Unable to allocate .* make batches"),
    "too large for JAX": (lambda: jnp.zeros(2**46, jnp.int8), 1, "out of memory .RESOURCE_EXH"),
    "out of memory": (fails(MemoryError()), 1, "out of memory .MemoryError. make"),
    "refused": (fails(UsageError("no")), 2, "error: no"),
    "failed": (fails(RunError("no")), 1, "error: no"),
    "an OSError of the script's": (Path("/no/such/file").read_text, FileNotFoundError, ""),
    "a lost connection": (fails(ConnectionResetError()), ConnectionResetError, ""),
    "another broken pipe": (fails(BrokenPipeError()), BrokenPipeError, ""),
    "a mistake": (fails(KeyError("x")), KeyError, ""),
}  # fmt: skip


@pytest.mark.parametrize(("fail", "end", "words"), FAILURES.values(), ids=FAILURES.keys())
def test_a_run_that_never_began_leaves_its_name_free(
    monkeypatch, capsys, tmp_path: Path, fail, end, words: str
):
    """Whatever ended it; what is no known failure keeps its traceback."""
    monkeypatch.setattr("sys.argv", ["x", "--out", str(tmp_path), "--name", "mine"])

    def main(config: Config) -> None:
        open_run("x", config, config.run).part("first")
        assert (tmp_path / "mine" / "first").is_dir()
        fail()

    with pytest.raises(SystemExit if isinstance(end, int) else end) as caught:
        launch(Config, main)
    if isinstance(end, int):
        assert caught.value.code == end
        said = capsys.readouterr().err
        assert len(said.splitlines()) == 1
        assert re.search(words, said.replace("(", ".").replace("):", ".")), said
    assert not (tmp_path / "mine").exists()


def test_a_run_that_began_stays(monkeypatch, tmp_path: Path):
    monkeypatch.setattr("sys.argv", ["x", "--out", str(tmp_path), "--name", "mine"])

    def main(config: Config) -> None:
        (open_run("x", config, config.run).figures / "curve.png").touch()
        raise KeyError

    with pytest.raises(KeyError):
        launch(Config, main)
    assert (tmp_path / "mine" / "figures" / "curve.png").is_file()


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ("4k", "error: .*/run/model.json cannot be written .No space left on device.: free"),
        ("8k", "error: .*/run/metrics.jsonl cannot be written .No space left on device.: free"),
        (
            "100k",
            "error: training ended at step 8, but the checkpoint of step 8 could not be saved .No "
            "space left on device: .*/run/checkpoints has .* needed.*: see to that, then resume",
        ),
    ],
)
def test_a_full_disk_is_one_sentence_at_the_end(tmp_path: Path, size: str, message: str):
    """On a file system of its own."""
    script = [sys.executable, "-m", "experiments.quickstart", "--steps", "8", "--log-every", "2",
              "--evaluate-every", "4", "--out", str(tmp_path), "--name", "run"]  # fmt: skip
    mount = f"mount -t tmpfs -o size={size} tmpfs {tmp_path}"
    outer = ["unshare", "--user", "--mount", "--map-root-user", "sh", "-c"]
    if subprocess.run([*outer, mount], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a file system")
    done = subprocess.run(
        [*outer, f"{mount} && exec {shlex.join(script)}"],
        env={k: v for k, v in os.environ.items() if k != "JAX_NUM_CPU_DEVICES"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    (said,) = done.stderr.splitlines()
    assert re.match(message, said.replace(f"{tmp_path}", " ").replace("(", ".").replace(")", "."))
    assert said.endswith(f"--out {tmp_path} --name run --resume")


def test_output_that_nobody_reads_ends_the_run(tmp_path: Path):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "experiments.quickstart", "--out", str(tmp_path)],
        stdout=writing, stderr=subprocess.PIPE, text=True, timeout=300, check=False,
    )  # fmt: skip
    os.close(writing)
    assert done.returncode == 1
    assert done.stderr == "error: nobody reads the output any more: the run was ended\n"


def test_a_run_that_fails_has_exit_code_1(monkeypatch, capsys, tmp_path: Path):
    common = ("--out", str(tmp_path), "--name", "mine", "--steps", "6", "--evaluate-every", "3")
    arguments = (*common, "--learning-rate", "1e6", "--optimizer", "sgd", "--model", "cnn")
    code, said = run_script(monkeypatch, capsys, *arguments)
    assert code == 1
    assert re.match("error: the loss is not finite at step [1-5]", said), said


@pytest.mark.usefixtures("without_report")
def test_a_run_whose_checkpoints_are_damaged(monkeypatch, capsys, tmp_path: Path):
    """From the command line: one damaged resumes from the one before; all damaged is exit 1."""
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


@pytest.mark.usefixtures("without_report")
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


@pytest.mark.usefixtures("without_report")
def test_a_run_can_be_lengthened_and_run_at_another_speed(monkeypatch, capsys, tmp_path: Path):
    """With a constant learning rate it becomes the longer run; with a schedule it is refused."""
    common = ("--out", str(tmp_path), "--evaluate-every", "3", "--schedule")
    longer = ("--steps", "6", "--loop", "python", "--evaluation-batch-size", "50")
    for arguments in (
        ("constant", "--name", "whole", "--steps", "6"),
        ("constant", "--name", "longer", "--steps", "3"),
        ("constant", "--name", "longer", *longer, "--resume"),
    ):
        assert run_script(monkeypatch, capsys, *common, *arguments) == (0, "")
    rows = {name: Run(tmp_path / name).history() for name in ("whole", "longer")}
    for row in (*rows["whole"], *rows["longer"]):
        del row["seconds"], row["split"]
    assert rows["longer"][-1]["step"] == 6
    for name, value in rows["whole"][-1].items():  # sums over other batches are rounded otherwise
        np.testing.assert_allclose(rows["longer"][-1][name], value, rtol=1e-6)
    code, said = run_script(
        monkeypatch, capsys, *common, "cosine", "--name", "longer", *longer, "--resume"
    )
    assert code == 2
    assert "another configuration: optimizer.schedule (was 'constant', now 'cosine')" in said


def test_damaged_checkpoints_cost_only_their_steps(tmp_path: Path):
    """Unless all are damaged."""
    data, learner = tiny_data(), tiny_learner()
    whole = fit(learner, data, tiny_config(), tiny_run(tmp_path / "whole"))
    run = tiny_run(tmp_path / "damaged")
    fit(learner, data, tiny_config(steps=16), run)
    empty_files(run.checkpoints / "16")
    again = tiny_run(tmp_path / "damaged", resumed=True)
    assert_same_bits(fit(learner, data, tiny_config(), again).state, whole.state)
    assert (run.checkpoints / "damaged-16").is_dir()
    for step in ("20", "24"):
        empty_files(run.checkpoints / step)
    with pytest.raises(RunError, match="every checkpoint in .* is damaged"):
        fit(learner, data, tiny_config(), tiny_run(tmp_path / "damaged", resumed=True))


def test_a_failed_checkpoint_is_a_warning_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    original = Checkpoints.save

    def save(self, step, tree):
        if step == 12:
            return self._give_up(step, "No space left on device")
        return original(self, step, tree)

    monkeypatch.setattr(Checkpoints, "save", save)
    fitted = fit(tiny_learner(), tiny_data(), tiny_config(), tiny_run(tmp_path))
    assert fitted.state.step == 24
    said = capsys.readouterr().out
    assert "warning: the checkpoint of step 12 could not be saved" in said
    assert "that of step 8 is kept; the run continues" in said
