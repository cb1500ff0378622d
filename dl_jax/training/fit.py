"""The one training loop."""

from collections.abc import Mapping

from dl_jax.data import Dataset
from dl_jax.learners import Learner
from dl_jax.runs import Run
from dl_jax.training.fit_config import FitConfig
from dl_jax.training.fitted import Fitted
from dl_jax.training.session import Session


def fit(learner: Learner, data: Mapping[str, Dataset], config: FitConfig, run: Run) -> Fitted:
    """Train, evaluate, log and save until the end, from wherever `run` stands.

    A run that was killed and is resumed ends, on CPU to the bit, with the parameters of one that
    was never killed; where it was asked to stop, `metrics.jsonl` may have one more row. Each of the
    learner's `streams` (one for each of `over_seeds`) has its own order of the data.

    Args:
        learner: of one replica, or of many.
        data: datasets under `train` and, if it is to choose parameters, `validation`.
        config: how long and how often.
        run: where to write, and whether to resume.

    Raises:
        UsageError: the configuration does not fit the data, the learner or the run.
        RunError: a loss was not finite; the disk is full; a checkpoint cannot be used.
        Interrupted: SIGTERM or Ctrl-C came; the run is saved.
    """
    with Session(learner, data, config, run) as session:
        while not session.ended:
            session.stop_if_asked()
            if not session.train_chunk():
                continue
            if session.evaluation_due:
                session.evaluate()
            if session.checkpoint_due:
                session.save()
        return session.finish()
