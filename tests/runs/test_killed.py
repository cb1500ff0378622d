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
    "-m", "experiments.quickstart", "--model", "cnn", "--seeds", "2",
    "--evaluate-every", "30", "--checkpoint-every", "20", "--log-every", "7",
]  # fmt: skip
SHORT, LONG = 300, 3000  # steps


def start(out: Path, steps: int, *options: str) -> subprocess.Popen:
    """The quick start, as a user would start it, on one device."""
    environment = {k: v for k, v in os.environ.items() if k != "JAX_NUM_CPU_DEVICES"}
    return subprocess.Popen(
        [sys.executable, *SCRIPT, "--steps", str(steps), "--out", str(out), "--name", "run",
         *options],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


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


def metric_curve(out: Path) -> list[dict]:
    lines = (out / "run" / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def finish(out: Path, steps: int, *options: str) -> None:
    process = start(out, steps, *options)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    finish(out, SHORT)
    return out


def kill_and_resume(out: Path, steps: int, kills: int) -> None:
    """Kill the run `kills` times in a row, each time at another instruction; then let it end."""
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
    finish(out, steps, "--resume")


def test_killed_at_any_instruction(tmp_path: Path, undisturbed: Path):
    kill_and_resume(tmp_path, SHORT, kills=2)
    assert outcome(tmp_path, SHORT) == outcome(undisturbed, SHORT)
    assert metric_curve(tmp_path) == metric_curve(undisturbed)


@pytest.mark.slow
def test_killed_twenty_times_in_a_row(tmp_path: Path):
    """One run, long enough that it is still training after nineteen kills."""
    finish(tmp_path / "whole", LONG)
    kill_and_resume(tmp_path / "killed", LONG, kills=20)
    assert outcome(tmp_path / "killed", LONG) == outcome(tmp_path / "whole", LONG)
    assert metric_curve(tmp_path / "killed") == metric_curve(tmp_path / "whole")


def test_stopped_politely(tmp_path: Path, undisturbed: Path):
    """SIGTERM saves and exits with 75, Ctrl-C with 130; the command they print resumes."""
    process, before = start(tmp_path, SHORT), 0
    for number, code in ((signal.SIGTERM, 75), (signal.SIGINT, 130)):
        wait_for_a_row(process, tmp_path, before)
        process.send_signal(number)
        _, errors = process.communicate(timeout=120)
        assert process.returncode == code, errors
        assert f"stopped by {signal.Signals(number).name}, saved at step" in errors
        assert "Traceback" not in errors
        command = shlex.split(errors.split("resume with: ")[1].strip())
        assert command[0] == sys.executable
        before = rows(tmp_path)
        environment = {k: v for k, v in os.environ.items() if k != "JAX_NUM_CPU_DEVICES"}
        process = subprocess.Popen(
            command, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert outcome(tmp_path, SHORT) == outcome(undisturbed, SHORT)
