"""A script is started once more, with settings of memory; nothing else is."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dl_jax.memory import restart_with_fast_memory


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list:
    """The processes that were started, with the signals that were blocked."""
    calls = []

    def execv(*call) -> None:
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        calls.append((call, {signal.SIGTERM, signal.SIGINT} <= blocked))

    monkeypatch.setattr("os.execv", execv)
    monkeypatch.setattr("platform.libc_ver", lambda: ("glibc", "2.36"))
    monkeypatch.setenv("GLIBC_TUNABLES", "")
    monkeypatch.delenv("GLIBC_TUNABLES")
    return calls


def test_a_script_is_started_once_more(started: list, monkeypatch: pytest.MonkeyPatch):
    command = ["python", "-X", "dev", "-m", "experiments.quickstart", "--seeds", "2"]
    monkeypatch.setattr("sys.orig_argv", command)
    restart_with_fast_memory("experiments.")
    restart_with_fast_memory("experiments.")  # what was started does not start itself again
    assert started == [((sys.executable, [sys.executable, *command[1:]]), True)]
    assert "glibc.malloc.hugetlb=1:" in os.environ["GLIBC_TUNABLES"]
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.parametrize(
    "command",
    [
        ["python", "-m", "pytest"], ["python", "script.py"], ["python", "-m"],
        ["python", "-m", "experiments"], ["python", "-m", "experiments_of_mine.x"],
    ],
)  # fmt: skip
def test_nothing_else_is(started: list, monkeypatch: pytest.MonkeyPatch, command: list[str]):
    monkeypatch.setattr("sys.orig_argv", command)
    restart_with_fast_memory("experiments.")
    assert started == []


COUNT = "import os; print('started', file=open(os.environ['STARTS'], 'a'))"


@pytest.mark.parametrize(
    ("command", "count"),
    [
        (["-m", "experiments.quickstart", "--help"], 2),
        (["-m", "experiments"], 1),
        (["-c", "import experiments"], 1),
        # A debugger starts the script itself.
        (["-m", "runpy", "experiments.quickstart", "--help"], 1),
    ],
    ids=["a script", "the list", "an import", "a debugger"],
)
def test_how_often_python_starts(tmp_path: Path, command: list[str], count: int):
    (tmp_path / "sitecustomize.py").write_text(COUNT)
    starts = tmp_path / "starts"
    environment = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
    environment |= {"PYTHONPATH": str(tmp_path), "STARTS": str(starts)}
    done = subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert starts.read_text().split() == ["started"] * count
