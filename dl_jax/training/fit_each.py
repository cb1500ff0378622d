"""Several learners on the same data, to be compared."""

from collections.abc import Mapping

from dl_jax.data import Dataset
from dl_jax.learners import Learner, Weights
from dl_jax.runs import Run
from dl_jax.training.fit import fit
from dl_jax.training.fit_config import FitConfig
from dl_jax.training.fitted import Fitted
from dl_jax.training.validation import EvaluateHook


def fit_each(
    learners: Mapping[str, Learner],
    data: Mapping[str, Dataset],
    config: FitConfig,
    run: Run,
    *,
    start: Weights | None = None,
    evaluate: EvaluateHook | None = None,
) -> dict[str, Fitted]:
    """`fit` for one learner after the other, each in a folder named after it within the run's.

    A resumed run continues the training that was interrupted; those before it are finished, and
    those after it start.

    Args:
        learners: by name.
        data: as for `fit`.
        config: the same for all.
        run: whose directory holds theirs.
        start: as for `fit`, the same for all.
        evaluate: as for `fit`, the same for all.
    """
    fitted = {}
    for name, learner in learners.items():
        if run.writes:
            print(f"-- {name}", flush=True)
        part = run.part(name)
        fitted[name] = fit(learner, data, config, part, start=start, evaluate=evaluate)
    return fitted
