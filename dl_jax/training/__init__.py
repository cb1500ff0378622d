"""Training: the loop, the run directory, checkpoints, progress and the command line."""

from dl_jax.training.classification import report_classification, with_one_axis_of_runs
from dl_jax.training.evaluate import make_evaluate
from dl_jax.training.fit import Fitted, fit
from dl_jax.training.fit_config import FitConfig
from dl_jax.training.fit_each import fit_each, logged
from dl_jax.training.interruption import Interrupted
from dl_jax.training.launch import launch
from dl_jax.training.report import report, save_figures, spelled, summarize, write_result
from dl_jax.training.run_directory import Run, RunOptions, open_run

__all__ = [
    "FitConfig",
    "Fitted",
    "Interrupted",
    "Run",
    "RunOptions",
    "fit",
    "fit_each",
    "launch",
    "logged",
    "make_evaluate",
    "open_run",
    "report",
    "report_classification",
    "save_figures",
    "spelled",
    "summarize",
    "with_one_axis_of_runs",
    "write_result",
]
