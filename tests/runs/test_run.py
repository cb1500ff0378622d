"""The directory of a run: never overwritten, resumed only as what it was."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from dl_jax.configuration import speed_only
from dl_jax.errors import UsageError
from dl_jax.runs import RunOptions, open_run
from dl_jax.runs.command import resume_command


@dataclass(frozen=True)
class Inner:
    rate: float = 0.1


@dataclass(frozen=True)
class Config:
    width: int = 8
    loop: str = speed_only("auto")
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
    assert record["config"] == {"width": 8, "loop": "auto", "inner": {"rate": 0.1}}
    assert run.config == {"width": 8, "inner": {"rate": 0.1}}
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


def test_the_newest_run_is_found_across_time_zones(tmp_path: Path):
    for name, started in (("later", "2026-01-01T09:00:00+0000"), ("x", "2026-01-01T10:00:00+0200")):
        path = opened(tmp_path, name=name).directory / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "started": started}))
    assert opened(tmp_path, resume=True).directory.name == "later"


def test_a_run_killed_before_its_configuration_was_written_is_started(tmp_path: Path):
    directory = tmp_path / "mine"
    directory.mkdir()
    (directory / ".config.json.123.draft").write_text('{"experi')
    (directory / ".lock").touch()
    assert not opened(tmp_path, name="mine", resume=True).resumed
    assert (directory / "config.json").is_file()


RECORD = {
    "experiment": "study",
    "config": {"width": 8, "inner": {"rate": 0.1}},
    "environment": {},
    "started": "2026-01-01T00:00:00+0000",
}
NO_RECORDS = [
    "", "[]", "null", '{"config": {}}', "{", "[" * 10**5, "\xff",
    *[
        json.dumps({**RECORD, **change})
        for change in (
            {"config": None}, {"config": [1]}, {"environment": None}, {"experiment": 3},
            {"started": None}, {"started": "yesterday"}, {"resumed": 5}, {"resumed": [1]},
            {"resumed": [{"environment": None}]},
        )
    ],
]  # fmt: skip


@pytest.mark.parametrize("text", NO_RECORDS)
def test_a_directory_of_something_else(tmp_path: Path, text: str):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text(text, "latin-1")
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
    with pytest.raises(UsageError, match="holds a run of 'study', not of other"):
        open_run("other", Config(), RunOptions(out=tmp_path, name="mine", resume=True))


def test_what_changes_speed_alone_may_differ(tmp_path: Path, capsys: pytest.CaptureFixture):
    path = opened(tmp_path, name="mine").directory / "config.json"
    assert opened(tmp_path, Config(loop="python"), name="mine", resume=True).resumed
    assert "resuming with loop (was 'auto', now 'python')" in capsys.readouterr().out
    record = json.loads(path.read_text())
    assert record["config"]["loop"] == "python"
    assert record["resumed"][0]["changed"] == ["loop (was 'auto', now 'python')"]


def test_a_run_older_than_a_field_is_resumed(tmp_path: Path):
    path = opened(tmp_path, name="mine").directory / "config.json"
    record = json.loads(path.read_text())
    del record["config"]["inner"]
    path.write_text(json.dumps(record))
    assert opened(tmp_path, name="mine", resume=True).resumed
    with pytest.raises(UsageError, match=r"inner.rate \(was 0.1, now 0.2\)"):
        opened(tmp_path, Config(inner=Inner(0.2)), name="mine", resume=True)


def test_what_a_file_says_is_printed_without_its_escapes(tmp_path: Path):
    path = opened(tmp_path, name="mine").directory / "config.json"
    record = json.loads(path.read_text())
    for change in ({"experiment": "\x1b[2J"}, {"config": {"\x1b[2J": "\x1b[2J"}}):
        path.write_text(json.dumps({**record, **change}))
        with pytest.raises(UsageError) as caught:
            opened(tmp_path, name="mine", resume=True)
        assert "\x1b" not in str(caught.value)


def link(path: Path) -> None:
    path.symlink_to(path.parents[1] / "outside")


KINDS = {
    ".lock": [link, os.mkfifo], "metrics.jsonl": [link, os.mkfifo, Path.mkdir],
    "figures": [link, Path.touch], "config.json": [os.mkfifo, Path.mkdir],
}  # fmt: skip


@pytest.mark.parametrize(("name", "make"), [(n, make) for n in KINDS for make in KINDS[n]])
def test_links_and_pipes_are_refused(tmp_path: Path, name: str, make):
    run = opened(tmp_path, name="mine")
    (run.directory / name).unlink(missing_ok=True)
    make(run.directory / name)
    with pytest.raises(UsageError, match=f"{name} (is|cannot)"):
        opened(tmp_path, name="mine", resume=True).history(up_to_step=0)
    assert not (tmp_path / "outside").exists()
    if name == "config.json":  # in a neighbor's directory
        opened(tmp_path, name="other")
        assert opened(tmp_path, resume=True).directory.name == "other"


def test_drafts_of_killed_processes_are_removed(tmp_path: Path):
    run = opened(tmp_path, name="mine")
    drafts = [run.directory / ".config.json.1.draft", run.figures / ".curve.png.1.draft"]
    for draft in drafts:
        draft.touch()
    opened(tmp_path, name="mine", resume=True)
    assert not any(draft.exists() for draft in drafts)


def test_a_directory_that_cannot_be_made(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="choose another --out"):
        opened(tmp_path / "file" / "below")
    with pytest.raises(UsageError, match="~nosuch/x.*choose another --out"):
        opened(Path("~nosuch/x"))
    with pytest.raises(UsageError, match="name has 300 characters.*choose a shorter --name"):
        opened(tmp_path, name="x" * 300)
    with pytest.raises(UsageError, match="file already exists and holds no run: choose another"):
        opened(tmp_path, name="file", resume=True)


def row(step: int, **metrics) -> dict:
    return {"step": step, "epoch": step / 10, "split": "train", "seconds": 0.5, **metrics}


def test_rows_are_plain_and_survive_a_cut_line(tmp_path: Path):
    run = opened(tmp_path)
    run.log(row(1, loss=np.array([0.5, np.nan]), n=np.float32(2)))
    run.log(row(2, loss=np.array(0.25)))
    with run.metrics_file.open("a") as file:
        file.write('{"step": 3, "lo')
    assert run.history(up_to_step=2) == [row(1, loss=[0.5, None], n=2.0), row(2, loss=0.25)]
    run.log(row(3, loss=1.0))
    assert [row["step"] for row in run.history()] == [1, 2, 3]
    assert [row["step"] for row in run.history(up_to_step=1)] == [1]
    assert len(run.metrics_file.read_text().splitlines()) == 1


NO_ROWS = {
    "lost": None,
    "filled with zeros": b"\0" * 90,
    "cut": b'{"row": 1, "step": 2',
    "not UTF-8": b"\xff\xfe",
    "deeply nested": b"[" * 10**5,
    "a number": b"123",
    "empty": b"{}",
    "null": b"null",
    "text": b'"x"',
    **{
        f"{name} is {value!r}": json.dumps({"row": 1, **row(2), name: value}).encode()
        for name, value in (("step", None), ("step", "x"), ("step", True), ("seconds", None))
    },
}


@pytest.mark.parametrize("line", NO_ROWS.values(), ids=NO_ROWS.keys())
def test_a_lost_row_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture, line: bytes | None):
    run = opened(tmp_path)
    for step in (1, 2, 3, 4):
        run.log(row(step))
    lines = run.metrics_file.read_bytes().splitlines()
    lines[1:2] = [] if line is None else [line]
    run.metrics_file.write_bytes(b"\n".join([*lines, lines[0]]) + b"\n")  # and one row twice
    again = opened(tmp_path, name=run.directory.name, resume=True)
    capsys.readouterr()
    assert again.history(up_to_step=3) == [row(1), row(3)]
    assert capsys.readouterr().out == f"1 rows of {run.metrics_file} are missing\n"
    again.log(row(4))
    assert again.history() == [row(1), row(3), row(4)]


PARTS = [
    (("+1", "-1"), ["+1", "-1"]),
    (("lr=0.1", "lr 0.1"), ["lr=0.1", "lr_0.1"]),
    (("β1=0.9", "γ=0.9", "ж"), ["β1=0.9", "γ=0.9", "ж"]),
    (("With rate 0.01", "faster!"), ["with_rate_0.01", "faster"]),
]


@pytest.mark.parametrize(("names", "folders"), PARTS)
def test_the_folder_of_a_part_tells_its_name(tmp_path: Path, names, folders):
    run = opened(tmp_path, name="mine")
    parts = [run.part(name) for name in names]
    assert [part.directory.relative_to(run.directory).as_posix() for part in parts] == folders
    assert not any(part.resumed for part in parts)
    assert len({json.dumps(part.config) for part in parts}) == len(parts)
    again = opened(tmp_path, name="mine", resume=True)
    assert all(again.part(name).resumed for name in names)


@pytest.mark.parametrize(
    ("first", "name", "message"),
    [
        ("a b", "a_b", "parts 'a b' and 'a_b' of a run would share the folder .*: rename one"),
        ("A", "a", "parts 'A' and 'a' of a run would share the folder"),
        ("a", "figures", "expected a letter or digit in the name, and neither 'checkpoints'"),
        ("a", "!?", "expected a letter or digit in the name"),
        ("a", "..", "expected a letter or digit in the name"),
        ("a", "x" * 300, "has 300 characters, expected at most 255"),
        ("a", "taken", "taken is no part of a run: rename the part 'taken'"),
    ],
)
def test_parts_that_would_share_a_folder(tmp_path: Path, first: str, name: str, message: str):
    run = opened(tmp_path)
    (run.directory / "taken").mkdir()
    (run.directory / "taken" / "something").touch()
    run.part(first)
    with pytest.raises(UsageError, match=message):
        run.part(name)


def test_a_run_that_never_began_is_discarded(tmp_path: Path):
    run = opened(tmp_path)
    part = run.part("a")
    (part.checkpoints / ".4.draft").mkdir(parents=True)
    part.discard()
    assert not run.directory.exists()
    run = opened(tmp_path)
    run.part("a").log(row(1))
    run.part("b").discard()
    run.discard()
    assert (run.directory / "a" / "metrics.jsonl").is_file()
    assert not (run.directory / "b").exists()


def test_tensorboard_events(tmp_path: Path):
    run = opened(tmp_path, tensorboard=True)
    logged = []
    run.log(row(1, loss=[0.5, 0.6]))
    assert [path for path in run.directory.iterdir() if "tfevents" in path.name]
    run._events.add_scalar = lambda *scalar: logged.append(scalar)
    run.log(row(2, loss=[None, 0.6]))
    assert logged == [
        ("train/epoch", 0.2, 2), ("train/seconds", 0.5, 2), ("train/loss/replica1", 0.6, 2)
    ]  # fmt: skip
    run._events.close()  # its thread would see that the next test takes the module away


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


def test_a_part_is_one_and_the_same_however_often_it_is_asked_for(tmp_path: Path):
    run = opened(tmp_path)
    assert run.part("a") is run.part("a")
    assert run.part("a") is not run.part("b")


def test_described_files_do_not_make_a_run_that_began(tmp_path: Path):
    run = opened(tmp_path)
    run.describe("mlp", MLP, files={"vocabulary.json": "[]"})
    assert not run.began
    run.discard()
    assert not run.directory.exists()


MLP = {"input_shape": [4], "widths": [2], "num_classes": 2}


def test_a_resumed_run_has_the_files_that_its_model_was_trained_with(tmp_path: Path):
    run = opened(tmp_path, name="run")
    run.describe("mlp", MLP, files={"vocabulary.json": '["a", "b"]'})
    run.log({"step": 1, "epoch": 1, "split": "train", "seconds": 1, "loss": 0.5})
    again = opened(tmp_path, name="run", resume=True)
    again.describe("mlp", MLP, files={"vocabulary.json": '["a", "b"]'})
    with pytest.raises(UsageError, match="the run was trained with other data"):
        again.describe("mlp", MLP, files={"vocabulary.json": '["b", "a"]'})
    assert (run.directory / "vocabulary.json").read_text() == '["a", "b"]'
