"""What a validation measures: the means over the validation set, and what a hook adds to them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import jax
import numpy as np

from dl_jax.data import Dataset
from dl_jax.errors import UsageError, check_choice
from dl_jax.learners import Learner, TrainState
from dl_jax.training.fit_config import FitConfig
from dl_jax.types import NOT_METRICS

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
        if not len(validation):
            raise UsageError(
                f"the {validation.split} split of {validation.name} has no examples: leave it out, "
                "or give it some"
            )
        batch = next(validation.evaluation_batches(config.evaluation_batch_size))
        names = jax.eval_shape(learner.eval_step, state, batch).sums
        check_metric_names(names)
        if evaluate is None:
            check_choice("monitor", config.monitor, names)
    config.check_monitor_mode()


def check_metric_names(names: Iterable[str]) -> None:
    """Raise if a metric has a name that rows of `metrics.jsonl` use for themselves.

    Raises:
        UsageError: names it.
    """
    for name in names:
        if name in NOT_METRICS:
            raise UsageError(
                f"a metric is named {name!r}, expected a name other than {', '.join(NOT_METRICS)}: "
                "rename it"
            )


def checked_numbers(
    measured: Any, replicas: tuple[int, ...], taken: Iterable[str]
) -> dict[str, np.ndarray]:
    """The numbers of an `evaluate` hook, which must be one for each replica under a new name.

    Raises:
        UsageError: they are not.
    """
    if not isinstance(measured, Mapping):
        raise UsageError(
            f"evaluate returned a {type(measured).__name__}, expected a dict of numbers, or {{}}"
        )
    check_metric_names(measured)
    found = {}
    for name, value in measured.items():
        try:
            found[name] = np.asarray(value, np.float64)
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"evaluate returned {value!r} as {name!r}, expected numbers"
            ) from error
        if name in taken or found[name].shape != replicas:
            raise UsageError(
                f"evaluate returned {name!r} of shape {found[name].shape}, expected shape "
                f"{replicas} (one number for each replica) and a name that no metric has"
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
