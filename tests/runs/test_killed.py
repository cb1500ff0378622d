"""A run that is killed or stopped, and resumed, ends as if nothing had happened: to the bit."""

import contextlib
import hashlib
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

SCRIPT = [
    "-m", "experiments.quickstart", "--model", "cnn", "--seeds", "2", "--batch-size", "8",
    "--evaluate-every", "30", "--checkpoint-every", "20", "--log-every", "7",
]  # fmt: skip
SHORT, LONG = 300, 3000  # steps
CODES = {signal.SIGTERM: 75, signal.SIGINT: 130}


def start(out: Path, steps: int, *options: str) -> subprocess.Popen:
    """The quick start, as a user would start it."""
    place = ["--steps", str(steps), "--out", str(out), "--name", "run"]
    return launched([sys.executable, *SCRIPT, *place, *options])


def launched(command: list[str]) -> subprocess.Popen:
    """A process with this command, on one device."""
    environment = {k: v for k, v in os.environ.items() if k != "JAX_NUM_CPU_DEVICES"}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def rows(out: Path) -> int:
    file = out / "run" / "metrics.jsonl"
    return len(file.read_text().splitlines()) if file.exists() else 0


def wait_for_a_row(process: subprocess.Popen, out: Path, before: int) -> None:
    while rows(out) <= before and process.poll() is None:
        time.sleep(0.01)


def outcome(out: Path, steps: int) -> dict:
    """Digests of every array of the last checkpoint, the best parameters' included."""
    last = max((p for p in (out / "run" / "checkpoints").iterdir() if p.name.isdigit()),
               key=lambda p: int(p.name))  # fmt: skip
    assert last.name == str(steps)
    with contextlib.closing(ocp.StandardCheckpointer()) as checkpointer:
        tree = checkpointer.restore(last / "tree")
    digests = jax.tree.map(digest, tree)
    assert len(jax.tree.leaves(digests)) > 10
    return digests


def digest(leaf: jax.Array) -> str:
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return f"{leaf.dtype}{leaf.shape} {hashlib.sha256(np.asarray(leaf).tobytes()).hexdigest()}"


def trained_rows(out: Path) -> list[dict]:
    lines = (out / "run" / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def finish(process: subprocess.Popen) -> None:
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors


def kill_repeatedly(out: Path, steps: int, kills: int) -> None:
    """Start the run and kill it, `kills` times in a row, each time at another instruction."""
    seed = time.time_ns()
    print(f"seed {seed}")  # shown with a failure
    chance = random.Random(seed)
    for _ in range(kills):
        before = rows(out)
        process = start(out, steps, "--resume")
        if chance.random() < 0.75:  # most kills while it trains and saves, some while it starts
            wait_for_a_row(process, out, min(before, 5))
        time.sleep(chance.uniform(0, 1.5))
        assert process.poll() is None, f"ended before it was killed: {process.communicate()[1]}"
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)


def stop_politely(process: subprocess.Popen, out: Path, number: signal.Signals) -> list[str]:
    """Signal the run once it has trained further; returns the command that it says resumes it."""
    wait_for_a_row(process, out, rows(out))
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == CODES[number], errors
    assert f"stopped by {number.name}, saved at step" in errors
    assert "Traceback" not in errors
    command = shlex.split(errors.split("resume with: ")[1].strip())
    assert command[0] == sys.executable
    return command


def test_killed_at_any_instruction_and_stopped_politely(tmp_path: Path):
    """SIGTERM saves and exits with 75, Ctrl-C with 130; the command they print resumes."""
    whole, disturbed = tmp_path / "whole", tmp_path / "disturbed"
    finish(start(whole, SHORT))
    record = json.loads((whole / "run" / "result.json").read_text())
    assert record["command"] == shlex.join(["python", *SCRIPT, "--steps", str(SHORT)])
    kill_repeatedly(disturbed, SHORT, kills=2)
    command = stop_politely(start(disturbed, SHORT, "--resume"), disturbed, signal.SIGTERM)
    command = stop_politely(launched(command), disturbed, signal.SIGINT)
    finish(launched(command))
    assert outcome(disturbed, SHORT) == outcome(whole, SHORT)
    assert trained_rows(disturbed) == trained_rows(whole)


@pytest.mark.slow
def test_killed_twenty_times_in_a_row(tmp_path: Path):
    """One run, long enough that it is still training after nineteen kills."""
    finish(start(tmp_path / "whole", LONG))
    kill_repeatedly(tmp_path / "killed", LONG, kills=20)
    finish(start(tmp_path / "killed", LONG, "--resume"))
    assert outcome(tmp_path / "killed", LONG) == outcome(tmp_path / "whole", LONG)
    assert trained_rows(tmp_path / "killed") == trained_rows(tmp_path / "whole")
