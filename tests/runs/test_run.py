"""The directory of a run: never overwritten, resumed only as what it was."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from dl_jax.errors import UsageError
from dl_jax.runs import RunOptions, open_run
from dl_jax.runs.command import resume_command


@dataclass(frozen=True)
class Inner:
    rate: float = 0.1


@dataclass(frozen=True)
class Config:
    width: int = 8
    inner: Inner = Inner()
    run: RunOptions = RunOptions()


def opened(tmp_path: Path, config: Config | None = None, **options):
    return open_run("study", config or Config(), RunOptions(out=tmp_path, **options))


def test_a_second_run_never_overwrites_a_first(tmp_path: Path):
    first, second = opened(tmp_path), opened(tmp_path)
    assert first.directory != second.directory
    opened(tmp_path, name="mine")
    with pytest.raises(UsageError, match="mine already exists: choose another --name, or add"):
        opened(tmp_path, name="mine")


def test_what_is_recorded(tmp_path: Path):
    run = opened(tmp_path)
    record = json.loads((run.directory / "config.json").read_text())
    assert record["config"] == {"width": 8, "inner": {"rate": 0.1}}
    assert record["environment"]["jax"]
    assert record["environment"]["devices"]
    root = Path(__file__).parent
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=False
    )
    expected = head.stdout.strip() if head.returncode == 0 else None
    commit = record["environment"]["git_commit"]
    assert (commit and commit.removesuffix("-dirty")) == expected


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "/x", "a..b", "", "-x", ".hidden", "a b"])
def test_names_that_lead_elsewhere(name: str):
    with pytest.raises(UsageError, match="name is .*it names one directory under --out"):
        RunOptions(name=name)


def test_resume_finds_the_newest_or_the_named(tmp_path: Path):
    with pytest.raises(UsageError, match="there is no run of study in .* to resume"):
        opened(tmp_path, resume=True)
    opened(tmp_path, name="old")
    run = opened(tmp_path, name="older-by-name")
    record = json.loads((run.directory / "config.json").read_text())
    record["started"] = "2000-01-01T00:00:00+0000"
    (run.directory / "config.json").write_text(json.dumps(record))
    assert opened(tmp_path, resume=True).directory.name == "old"
    again = opened(tmp_path, name="older-by-name", resume=True)
    assert again.directory == run.directory
    assert again.resumed
    assert not opened(tmp_path, name="new", resume=True).resumed  # a requeued job's first start


def test_a_run_killed_before_its_configuration_was_written_is_started(tmp_path: Path):
    directory = tmp_path / "mine"
    directory.mkdir()
    (directory / ".config.json.123").write_text('{"experi')
    (directory / ".lock").touch()
    assert not opened(tmp_path, name="mine", resume=True).resumed
    assert (directory / "config.json").is_file()


@pytest.mark.parametrize("text", ["", "[]", '{"config": {}}', "{"])
def test_a_directory_of_something_else(tmp_path: Path, text: str):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text(text)
    with pytest.raises(UsageError, match="no run of study"):
        opened(tmp_path, resume=True)
    with pytest.raises(UsageError, match="config.json cannot be used .* choose another --name"):
        opened(tmp_path, name="other", resume=True)


HOLD = """
import sys
from pathlib import Path
from dl_jax.runs.lock import lock
lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_two_processes_do_not_share_a_run(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "mine")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert other.stdout.readline() == "held\n"
    with pytest.raises(UsageError, match="another process is running in .*mine"):
        opened(tmp_path, name="mine", resume=True)
    other.kill()
    other.communicate()
    assert not opened(tmp_path, name="mine", resume=True).resumed
    assert opened(tmp_path, name="mine", resume=True).resumed


def test_another_environment_is_recorded(tmp_path: Path, capsys: pytest.CaptureFixture):
    run = opened(tmp_path, name="mine")
    path = run.directory / "config.json"
    record = json.loads(path.read_text())
    opened(tmp_path, name="mine", resume=True)
    assert json.loads(path.read_text()) == record  # nothing has changed
    path.write_text(json.dumps({**record, "environment": {**record["environment"], "jax": "0"}}))
    capsys.readouterr()
    opened(tmp_path, name="mine", resume=True)
    assert "resuming in another environment: jax (was '0', now" in capsys.readouterr().out
    (session,) = json.loads(path.read_text())["resumed"]
    assert session["environment"] == record["environment"]


def test_another_configuration_is_not_resumed(tmp_path: Path):
    opened(tmp_path, name="mine")
    with pytest.raises(UsageError) as caught:
        opened(tmp_path, Config(width=9, inner=Inner(0.2)), name="mine", resume=True)
    assert "inner.rate (was 0.1, now 0.2), width (was 8, now 9)" in str(caught.value)
    with pytest.raises(UsageError, match="holds a run of study, not of other"):
        open_run("other", Config(), RunOptions(out=tmp_path, name="mine", resume=True))


def test_a_directory_that_cannot_be_made(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="choose another"):
        opened(tmp_path / "file" / "below")


def test_rows_are_plain_and_survive_a_cut_line(tmp_path: Path):
    run = opened(tmp_path)
    run.log({"step": 1, "loss": np.array([0.5, np.nan]), "n": np.float32(2)})
    run.log({"step": 2, "loss": np.array(0.25)})
    with run.metrics_file.open("a") as file:
        file.write('{"step": 3, "lo')
    assert run.history(up_to_step=2) == [
        {"step": 1, "loss": [0.5, None], "n": 2.0},
        {"step": 2, "loss": 0.25},
    ]
    run.log({"step": 3, "loss": 1.0})
    assert [row["step"] for row in run.history()] == [1, 2, 3]
    assert [row["step"] for row in run.history(up_to_step=1)] == [1]
    assert len(run.metrics_file.read_text().splitlines()) == 1


def test_tensorboard_events(tmp_path: Path):
    run = opened(tmp_path, tensorboard=True)
    logged = []
    run.log({"step": 1, "split": "train", "loss": [0.5, 0.6]})
    assert [path for path in run.directory.iterdir() if "tfevents" in path.name]
    run._events.add_scalar = lambda *scalar: logged.append(scalar)
    run.log({"step": 2, "split": "train", "loss": [None, 0.6], "rate": 0.1})
    assert logged == [("train/loss/run1", 0.6, 2), ("train/rate", 0.1, 2)]


def test_tensorboard_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(UsageError, match="--tensorboard needs tensorboardX"):
        opened(tmp_path, name="mine", tensorboard=True)
    assert not (tmp_path / "mine").exists()


def test_the_command_that_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = opened(tmp_path, name="mine")
    command = "python -m experiments.x --name old --seeds 3 --out=here --resume --epochs 2"
    monkeypatch.setattr("sys.orig_argv", command.split())
    program, arguments = resume_command(run.directory).split(maxsplit=1)
    assert program == sys.executable
    assert arguments == (
        f"-m experiments.x --seeds 3 --epochs 2 --out {tmp_path} --name mine --resume"
    )
