"""The directory of a run: never overwritten, resumed only as what it was."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from dl_jax.errors import UsageError
from dl_jax.training import RunOptions, open_run
from dl_jax.training.run_directory import resume_command


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
    assert record["environment"]["git_commit"] is None or record["environment"]["git_commit"]


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
    run.log({"step": 1, "split": "train", "loss": [0.5, 0.6]})
    assert [path for path in run.directory.iterdir() if "tfevents" in path.name]


def test_the_command_that_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = opened(tmp_path, name="mine")
    command = "python -m experiments.x --name old --seeds 3 --out=here --resume --epochs 2"
    monkeypatch.setattr("sys.orig_argv", command.split())
    assert resume_command(run) == (
        f"python -m experiments.x --seeds 3 --epochs 2 --out {tmp_path} --name mine --resume"
    )
