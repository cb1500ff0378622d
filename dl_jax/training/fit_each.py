"""Several learners on the same data, to be compared."""

from collections.abc import Mapping

from dl_jax.data import Dataset
from dl_jax.learners import Learner
from dl_jax.runs import Run
from dl_jax.training.fit import fit
from dl_jax.training.fit_config import FitConfig
from dl_jax.training.fitted import Fitted


def fit_each(
    learners: Mapping[str, Learner], data: Mapping[str, Dataset], config: FitConfig, run: Run
) -> dict[str, Fitted]:
    """`fit` for one learner after the other, each in a folder named after it within the run's.

    A resumed run continues the training that was interrupted; those before it are finished, and
    those after it start.

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
