"""The result of training."""

from typing import Any, NamedTuple

import numpy as np

from dl_jax.learners import TrainState, Weights
from dl_jax.training.best import NEVER


class Fitted(NamedTuple):
    """What `fit` returns.

    Attributes:
        state: the last state.
        best: the state with the parameters that scored best on the validation set, for each
            replica; without a validation set, the last. The parameters of a replica that never
            had a finite evaluation are NaN.
        best_step: the step of `best`, for each replica; -1 where it is NaN.
        history: the rows of `metrics.jsonl`.
        seconds: time spent training and evaluating, over all sessions of the run.
        weights: parameters and model state of the network that was trained, of `best`: all that it
            has, or those of one of several networks (`Learner.weights`).
    """

    state: TrainState
    best: TrainState
    best_step: np.ndarray
    history: list[dict[str, Any]]
    seconds: float
    weights: Weights

    @property
    def trained(self) -> np.ndarray:
        """Indices of the replicas that had a finite evaluation; of all without a validation set."""
        return np.flatnonzero(np.ravel(self.best_step) != NEVER)


def metric_curve(fitted: Fitted, metric: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps `[points]` and values `[replicas, points]` of one metric; NaN where not finite."""
    rows = [row for row in fitted.history if row["split"] == split and metric in row]
    values = [np.ravel(np.array(row[metric], np.float64)) for row in rows]
    return np.array([row["step"] for row in rows]), np.stack(values, axis=-1)
