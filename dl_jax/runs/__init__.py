"""Runs: a run as a folder, with its checkpoints, and as a process, with its command line."""

from dl_jax.runs.interruption import Interrupted
from dl_jax.runs.launch import launch
from dl_jax.runs.loading import Loaded, load_run
from dl_jax.runs.opening import open_run
from dl_jax.runs.options import RunOptions
from dl_jax.runs.run import Run
from dl_jax.runs.writer import Writer, load_writer

__all__ = [
    "Interrupted",
    "Loaded",
    "Run",
    "RunOptions",
    "Writer",
    "launch",
    "load_run",
    "load_writer",
    "open_run",
]
