"""The one training loop."""

from collections.abc import Mapping

from dl_jax.data import Dataset
from dl_jax.learners import Learner, Weights
from dl_jax.runs import Run
from dl_jax.training.fit_config import FitConfig
from dl_jax.training.fitted import Fitted
from dl_jax.training.session import Session
from dl_jax.training.validation import EvaluateHook


def fit(
    learner: Learner,
    data: Mapping[str, Dataset],
    config: FitConfig,
    run: Run,
    *,
    start: Weights | None = None,
    evaluate: EvaluateHook | None = None,
) -> Fitted:
    """Train, evaluate, log and save until the end, from wherever `run` stands.

    A run that was killed and is resumed ends, on CPU to the bit, with the parameters of one that
    was never killed; where it was asked to stop, `metrics.jsonl` may have one more row. Each of the
    learner's `streams` (one for each of `over_seeds`) has its own order of the data.

    Args:
        learner: of one replica, or of many.
        data: datasets under `train` and, if it is to choose parameters, `validation`.
        config: how long and how often.
        run: where to write, and whether to resume.
        start: `(params, model_state)` of one replica to begin from, such as imported weights or
            those of another run (`load_run`). They are arguments of the compiled program, not
            constants in it.
        evaluate: `evaluate(state) -> {name: numbers of shape state.replicas}`, called at every
            evaluation. It adds to the means over the validation set what is no mean (mAP,
            perplexity, Fréchet distance), and may draw samples on its way; its numbers are logged
            in the same row and may be monitored. The state is not to be kept: copy what is needed.

    Raises:
        UsageError: the configuration does not fit the data, the learner or the run; or `start`
            does not fit the learner; or `evaluate` returns other shapes, or names that are taken.
        RunError: a loss was not finite; the disk is full; a checkpoint cannot be used.
        Interrupted: SIGTERM or Ctrl-C came; the run is saved.
    """
    with Session(learner, data, config, run, start, evaluate) as session:
        while not session.ended:
            session.stop_if_asked()
            if not session.train_chunk():
                continue
            if session.evaluation_due:
                session.evaluate()
            if session.checkpoint_due:
                session.save()
        return session.finish()
