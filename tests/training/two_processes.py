"""One of two processes that train a network together: `two_processes.py ID PORT FOLDER KIND..`."""

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from dl_jax.learners import global_mesh, over_seeds, sharded
from dl_jax.runs import Interrupted, RunOptions, open_run
from dl_jax.training import FitConfig, fit
from tests.training.tiny import tiny_config, tiny_data, tiny_learner


@dataclass(frozen=True)
class Config:
    """What `open_run` records."""

    fit: FitConfig
    run: RunOptions


def train(process: int, folder: Path, kind: str) -> None:
    """Train a `whole` run; one `stopped` by SIGTERM to the second process; and that one, `resumed`.

    Resumed, each process reads its own part of a stream.
    """
    learner = sharded(over_seeds(tiny_learner(), 2), global_mesh())
    name = "whole" if kind == "whole" else "disturbed"
    options = RunOptions(out=folder, name=name, resume=kind == "resumed")
    placed = "never" if kind == "resumed" else "auto"
    config = Config(tiny_config(dataset_on_device=placed), options)
    run = open_run("two_processes", config, options)

    def evaluate(state):
        if kind == "stopped" and process == 1 and int(state.step.max()) == 8:
            os.kill(os.getpid(), signal.SIGTERM)
        return {}

    try:
        fitted = fit(learner, tiny_data(), config.fit, run, evaluate=evaluate)
    except Interrupted as interrupted:
        print(f"{interrupted}")
        sys.exit(interrupted.exit_code)
    if run.writes:
        leaves = jax.tree.leaves((fitted.state.params, fitted.best.params))
        np.savez(folder / f"{name}.npz", *map(np.asarray, leaves))


if __name__ == "__main__":
    process, port = int(sys.argv[1]), sys.argv[2]
    jax.config.update("jax_num_cpu_devices", 2)
    jax.distributed.initialize(f"localhost:{port}", 2, process)
    for kind in sys.argv[4:]:
        train(process, Path(sys.argv[3]), kind)
