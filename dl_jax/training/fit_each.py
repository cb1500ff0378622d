"""Several learners on the same data, to be compared."""

from collections.abc import Mapping

import numpy as np

from dl_jax.data import Dataset
from dl_jax.learners import Learner
from dl_jax.runs.run import Run
from dl_jax.training.fit import Fitted, fit
from dl_jax.training.fit_config import FitConfig


def fit_each(
    learners: Mapping[str, Learner], data: Mapping[str, Dataset], config: FitConfig, run: Run
) -> dict[str, Fitted]:
    """`fit` for one learner after the other, each in a folder of its name within the run's.

    A resumed run goes on within the one that was interrupted; those before it are finished, and
    those after it begin.

    Args:
        learners: by name.
        data: as for `fit`.
        config: the same for all.
        run: whose directory holds theirs.
    """
    fitted = {}
    for name, learner in learners.items():
        print(f"-- {name}", flush=True)
        fitted[name] = fit(learner, data, config, run.part(name))
    return fitted


def metric_curve(fitted: Fitted, metric: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps `[points]` and values `[runs, points]` of one metric; NaN where not finite."""
    rows = [row for row in fitted.history if row["split"] == split and metric in row]
    values = [np.ravel(np.array(row[metric], np.float64)) for row in rows]
    return np.array([row["step"] for row in rows]), np.stack(values, axis=-1)
