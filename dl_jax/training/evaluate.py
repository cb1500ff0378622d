"""Metrics of a dataset, every example counted once."""

from collections.abc import Callable

from dl_jax.compilation import compiled
from dl_jax.data import Dataset
from dl_jax.learners import Learner, Metrics, TrainState

Evaluate = Callable[[TrainState, Dataset], Metrics]


def make_evaluate(learner: Learner, batch_size: int) -> Evaluate:
    """`evaluate(state, dataset) -> metrics`, compiled once for all datasets of one shape."""
    eval_step = compiled(learner.eval_step)

    def evaluate(state: TrainState, dataset: Dataset) -> Metrics:
        # All batches are on their way before the first result is waited for.
        parts = [eval_step(state, batch) for batch in dataset.evaluation_batches(batch_size)]
        total, *others = [part.on_host() for part in parts]
        for other in others:
            total = total.merge(other)
        return total

    return evaluate
