"""Two processes that train one network together equal one process, and write one run."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from dl_jax.learners import over_seeds
from dl_jax.runs.rows import read_rows
from dl_jax.training import fit
from tests.training.tiny import tiny_config, tiny_data, tiny_learner, tiny_run


def together(folder: Path, kind: str) -> tuple[list[int], str]:
    """Exit codes of both processes, and what they printed."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    environment = {k: v for k, v in os.environ.items() if k != "JAX_NUM_CPU_DEVICES"}
    folder.mkdir(exist_ok=True)
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.training.two_processes", str(i), port, str(folder), kind],
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
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together") / "whole"
    codes, said = together(folder, "whole")
    assert codes == [0, 0], said
    return folder


def test_two_processes_train_what_one_trains(tmp_path: Path, whole: Path):
    alone = fit(over_seeds(tiny_learner(), 2), tiny_data(), tiny_config(), tiny_run(tmp_path))
    expected = jax.tree.leaves((alone.state.params, alone.best.params))
    for ours, theirs in zip(arrays(whole / "whole.npz"), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    rows = read_rows(whole / "run" / "metrics.jsonl")
    assert rows.missing == 0
    assert [row["step"] for row in rows.by_number.values()] == [
        row["step"] for row in alone.history
    ]


def test_each_reads_its_own_part_of_a_stream(tmp_path: Path, whole: Path):
    codes, said = together(tmp_path, "streamed")
    assert codes == [0, 0], said
    for streamed, placed in zip(
        arrays(tmp_path / "streamed.npz"), arrays(whole / "whole.npz"), strict=True
    ):
        np.testing.assert_array_equal(streamed, placed)


def test_a_signal_to_one_stops_both_and_they_resume_to_the_bit(tmp_path: Path, whole: Path):
    codes, said = together(tmp_path, "stopped")
    assert codes == [75, 75], said
    assert "stopped by SIGTERM, saved at step" in said
    codes, said = together(tmp_path, "resumed")
    assert codes == [0, 0], said
    for resumed, undisturbed in zip(
        arrays(tmp_path / "resumed.npz"), arrays(whole / "whole.npz"), strict=True
    ):
        np.testing.assert_array_equal(resumed, undisturbed)
