"""SIGTERM and Ctrl-C, from the first moment of a process to its last."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CODES = {signal.SIGTERM: 75, signal.SIGINT: 130}


def start(out: Path) -> subprocess.Popen:
    environment = {
        k: v for k, v in os.environ.items() if k not in ("JAX_NUM_CPU_DEVICES", "GLIBC_TUNABLES")
    }
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.quickstart", "--steps", "4", "--out", str(out)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def handles(process: subprocess.Popen, number: int) -> bool:
    """Whether the process has a handler for a signal, or holds it back."""
    with open(f"/proc/{process.pid}/status") as file:
        masks = dict(line.split(":", 1) for line in file if line.startswith("Sig"))
    return any(int(masks[name], 16) >> (number - 1) & 1 for name in ("SigCgt", "SigBlk"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to look into")
@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
@pytest.mark.parametrize("delay", [0, 0.03, 0.3, 1.0])
def test_a_signal_while_python_imports(tmp_path: Path, number: signal.Signals, delay: float):
    process = start(tmp_path)
    while not handles(process, signal.SIGTERM):  # Python's own start, some 20 ms
        assert process.poll() is None
    time.sleep(delay)
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == CODES[number], errors
    (said,) = errors.splitlines()
    assert said.startswith(f"stopped by {number.name}")


def test_a_signal_after_the_last_line(tmp_path: Path):
    """Everything is done then: the process may end with 0."""
    process = start(tmp_path)
    while not process.stdout.readline().startswith("test accuracy"):
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode in (0, 75), errors
    assert len(errors.splitlines()) == (process.returncode == 75), errors


AT_THE_END = """
import atexit, os, signal, sys
from dl_jax.signals import end_on_signals

class Last:
    def __del__(self):  # after atexit's hooks, when Python has taken its handlers away
        kill(pid, TERM)
        write(1, b"alive")

write, kill, pid, TERM = os.write, os.kill, os.getpid(), signal.SIGTERM
sys.last = Last()
end_on_signals()
"""


def test_a_signal_while_the_interpreter_ends_changes_nothing():
    done = subprocess.run([sys.executable, "-c", AT_THE_END], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"alive", b"")


BLOCKED = """
import os, signal, sys
from dl_jax.signals import blocked_signals, end_on_signals
if "again" in sys.argv:
    end_on_signals()
with blocked_signals():
    os.kill(os.getpid(), signal.SIGTERM)
    os.execv(sys.executable, [sys.executable, "-c", sys.argv[1], sys.argv[1], "again"])
"""


def test_a_signal_between_two_processes_is_not_lost():
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, BLOCKED],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 75
    assert done.stderr.startswith("stopped by SIGTERM")


HANDLER_IN_A_WRITE = """
import os, signal, sys
from dl_jax.signals import end_on_signals

class Output:
    def flush(self):
        raise RuntimeError("reentrant call")

end_on_signals()
sys.stdout = Output()
os.kill(os.getpid(), signal.SIGINT)
"""


def test_a_handler_never_raises():
    done = subprocess.run(
        [sys.executable, "-c", HANDLER_IN_A_WRITE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 130
    (said,) = done.stderr.splitlines()
    assert said.startswith("stopped by SIGINT")
