"""What a validation measures: the means over the validation set, and what a hook adds to them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import numpy as np

from dl_jax.data import Dataset
from dl_jax.errors import UsageError, check_choice
from dl_jax.learners import Learner, TrainState
from dl_jax.training.fit_config import FitConfig

EvaluateHook: TypeAlias = Callable[[TrainState], Mapping[str, Any]]
"""`evaluate(state) -> {name: numbers of shape state.replicas}`."""


def check_validation(
    learner: Learner,
    state: TrainState,
    validation: Dataset | None,
    config: FitConfig,
    evaluate: EvaluateHook | None,
) -> None:
    """Raise unless what is monitored will be measured, as far as that is known before training."""
    if validation is None and evaluate is None:
        if config.patience:
            raise UsageError("patience needs a validation set, and the data has none")
        return
    if validation is not None:
        batch = next(validation.evaluation_batches(config.evaluation_batch_size))
        names = jax.eval_shape(learner.eval_step, state, batch).sums
        if evaluate is None:
            check_choice("monitor", config.monitor, names)
    _ = config.maximizes


def checked_numbers(
    measured: Mapping[str, Any], replicas: tuple[int, ...], taken: Sequence[str]
) -> dict[str, np.ndarray]:
    """The numbers of an `evaluate` hook, which must be one for each replica under a new name."""
    found = {name: np.asarray(value, np.float64) for name, value in measured.items()}
    for name, value in found.items():
        if name in taken or value.shape != replicas:
            raise UsageError(
                f"evaluate returned {name!r} of shape {value.shape}, expected shape {replicas} "
                f"(one number for each replica) and a name other than {', '.join(taken)}"
            )
    return found


def score_and_loss(
    config: FitConfig, measured: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """The monitored metric so that larger is better, and the loss; -inf where not finite."""
    value = measured[config.monitor]
    loss = measured.get("loss", np.zeros_like(value))
    finite = np.isfinite(value) & np.isfinite(loss)  # NaN logits, too, are right by chance
    score = np.where(finite, value if config.maximizes else -value, -np.inf)
    return score.astype(np.float32), loss.astype(np.float32)
