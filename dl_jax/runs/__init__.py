"""Runs: a run as a folder, with its checkpoints, and as a process, with its command line."""

from dl_jax.runs.interruption import Interrupted
from dl_jax.runs.launch import launch
from dl_jax.runs.run import Run, RunOptions, open_run

__all__ = ["Interrupted", "Run", "RunOptions", "launch", "open_run"]
