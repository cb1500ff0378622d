"""Two processes that train one network together equal one process, and write one run."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from dl_jax.runs.rows import read_rows
from tests.training.tiny import Trained


def together(folder: Path, *kinds: str) -> tuple[list[int], str]:
    """Exit codes of both processes, and what they printed."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    environment = {k: v for k, v in os.environ.items() if k != "JAX_NUM_CPU_DEVICES"}
    script = [sys.executable, "-m", "tests.training.two_processes"]
    processes = [
        subprocess.Popen(
            [*script, str(i), port, str(folder), *kinds],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for i in range(2)
    ]  # fmt: skip
    said = [process.communicate(timeout=300)[0] for process in processes]
    return [process.returncode for process in processes], "\n".join(said)


def arrays(path: Path) -> list[np.ndarray]:
    with np.load(path) as file:
        return [file[name] for name in file.files]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole run, and of one that a signal to one process stopped."""
    folder = tmp_path_factory.mktemp("together")
    codes, said = together(folder, "whole", "stopped")
    assert codes == [75, 75], said
    assert "stopped by SIGTERM, saved at step" in said
    return folder


def test_two_processes_train_what_one_trains(trained: Path, two_seeds: Trained):
    alone = two_seeds.fitted
    expected = jax.tree.leaves((alone.state.params, alone.best.params))
    for ours, theirs in zip(arrays(trained / "whole.npz"), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    rows = read_rows(trained / "whole" / "metrics.jsonl")
    assert rows.missing == 0
    assert [row["step"] for row in rows.by_number.values()] == [
        row["step"] for row in alone.history
    ]


def test_both_resume_to_the_bit_and_read_their_own_parts_of_a_stream(trained: Path):
    codes, said = together(trained, "resumed")
    assert codes == [0, 0], said
    for resumed, undisturbed in zip(
        arrays(trained / "disturbed.npz"), arrays(trained / "whole.npz"), strict=True
    ):
        np.testing.assert_array_equal(resumed, undisturbed)
