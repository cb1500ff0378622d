"""Metrics of a dataset, every example counted once."""

from collections.abc import Callable
from functools import lru_cache

from dl_jax.compilation import jit
from dl_jax.data import Dataset, evaluation_batches
from dl_jax.errors import UsageError
from dl_jax.learners import Learner, Metrics, TrainState

Evaluate = Callable[[TrainState, Dataset], Metrics]


# Training, the report and a script's own figures evaluate the same learner: it is compiled once.
@lru_cache(maxsize=64)
def make_evaluate(learner: Learner, batch_size: int) -> Evaluate:
    """`evaluate(state, dataset) -> metrics`, compiled once for all datasets of one shape."""
    eval_step = jit(learner.eval_step)

    def evaluate(state: TrainState, dataset: Dataset) -> Metrics:
        # Fetched one batch late: the device never waits for the host, and holds two at most.
        total, pending = None, None
        for batch in evaluation_batches(dataset, batch_size):
            part = eval_step(state, batch)
            if pending is not None:
                total = _sum(total, pending)
            pending = part
        if pending is None:
            raise UsageError(f"the {dataset.split} split of {dataset.name} has no examples")
        return _sum(total, pending)

    return evaluate


def _sum(total: Metrics | None, part: Metrics) -> Metrics:
    return part.on_host() if total is None else total.merge(part.on_host())
