"""The one training loop."""

import time
from collections.abc import Mapping
from dataclasses import replace
from signal import Signals
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dl_jax.compilation import jit
from dl_jax.data import Dataset
from dl_jax.errors import RunError, UsageError, check_choice
from dl_jax.learners import Learner, TrainState
from dl_jax.runs.checkpoints import Checkpoints
from dl_jax.runs.interruption import EXIT_CODES, Interrupted, Interruption
from dl_jax.runs.progress import ProgressReport
from dl_jax.runs.run import Run
from dl_jax.training.best import Best, all_finite, update_best
from dl_jax.training.chunk import Progress, make_train_chunk
from dl_jax.training.evaluate import make_evaluate
from dl_jax.training.fit_config import FitConfig


class Fitted(NamedTuple):
    """What training gave.

    Attributes:
        state: the last state.
        best: the state with the parameters that scored best on the validation set, run by run;
            without a validation set, the last.
        best_step: when that was, for each run.
        history: the rows of `metrics.jsonl`.
        seconds: time spent training and evaluating, over all sessions of the run.
    """

    state: TrainState
    best: TrainState
    best_step: np.ndarray
    history: list[dict[str, Any]]
    seconds: float


class Saved(NamedTuple):
    """What a checkpoint holds; the position in the data is the state's step."""

    state: TrainState
    best: Best


def fit(learner: Learner, data: Mapping[str, Dataset], config: FitConfig, run: Run) -> Fitted:
    """Train, evaluate, log and save until the end, from wherever `run` stands.

    A run that was killed and is resumed ends, on CPU to the bit, with the parameters of one that
    was never killed; where it was asked to stop, `metrics.jsonl` may have a row more. `fit` reads
    from the state's `step` how many runs train side by side, and gives each its own order of the
    data.

    Args:
        learner: of one run, or of many.
        data: datasets under `train` and, if parameters are to be chosen by it, `validation`.
        config: how long and how often.
        run: where to write, and whether to resume.

    Raises:
        UsageError: the configuration does not fit the data or the learner.
        RunError: a loss was not finite; the disk is full; a checkpoint cannot be used.
        Interrupted: SIGTERM or Ctrl-C came; the run is saved.
    """
    state = jit(learner.init)(jax.random.key(config.seed))
    train, validation = data["train"], data.get("validation")
    try:
        order = config.order(len(train), state.step.shape)
        _check_validation(learner, state, validation, config)
    except UsageError:
        run.discard()  # or its name would be taken by nothing
        raise
    steps_per_epoch, runs = order.steps_per_epoch, max(1, state.step.size)
    total = config.total_steps(steps_per_epoch)

    with Checkpoints(run.checkpoints, config.keep_checkpoints, run.config) as checkpoints:
        saved = Saved(state, jit(Best.initial)(state))
        restored = checkpoints.restore(saved) if run.resumed else None
        step = 0 if restored is None else restored.step
        state, best = saved if restored is None else restored.tree
        history = run.history(up_to_step=step) if run.resumed else []
        began = time.monotonic() - (history[-1]["seconds"] if history else 0.0)

        advance = make_train_chunk(
            learner,
            train,
            order,
            resident={"auto": train.resident, "resident": True}.get(config.placement, False),
            rolled={"auto": None, "rolled": True}.get(config.loop, False),
        )
        evaluate = make_evaluate(learner, config.evaluation_batch_size)
        choose_best = jit(update_best)
        finite_runs = jit(lambda state: all_finite(state.params, state.step.ndim))

        with (
            ProgressReport(total, step, config.batch_size * runs) as report,
            Interruption() as interruption,
        ):
            for line in restored.damaged if restored else ():
                report.say(f"{line}; going on from that of step {step}")
            if restored:
                report.say(f"resumed {run.directory} at step {step} of {total}")
            elif run.resumed:
                run.clear_results()
                report.say(f"no checkpoint in {run.checkpoints}: training from the start")

            def log(split: str, at: int, measured: Mapping[str, np.ndarray]) -> dict[str, Any]:
                seconds = round(time.monotonic() - began, 3)
                row = {"step": at, "epoch": at / steps_per_epoch, "split": split}
                # Of runs in several axes, all in one list.
                flat = {n: v.reshape(-1) if v.ndim > 1 else v for n, v in measured.items()}
                history.append(run.log({**row, "seconds": seconds, **flat}))
                return history[-1]

            def record(progress: Progress, reached: int) -> None:
                """Log the training metrics up to step `reached`; stop if they are not finite."""
                report.trained(reached, log("train", reached, progress.metrics.means()))
                first_bad = np.asarray(progress.first_bad)
                if config.stop_on_nonfinite and (first_bad >= 0).any():
                    _stop_nonfinite("loss", first_bad, checkpoints, run)

            def save() -> None:
                finite = np.asarray(finite_runs(state))
                if config.stop_on_nonfinite and not finite.all():
                    _stop_nonfinite("parameters", np.where(finite, -1, step), checkpoints, run)
                failure = checkpoints.save(step, Saved(state, best))
                if failure:
                    report.say(f"warning: {failure}; the run goes on")

            def finish() -> str | None:
                """Wait until step `step` is saved; why it is not, if it is not."""
                failure = checkpoints.finish()
                if checkpoints.latest == step:
                    return None
                return failure or f"its checkpoint could not be saved in {run.checkpoints}"

            pending: tuple[Any, int] | None = None
            while step < total and not patience_exhausted(config, best, step, steps_per_epoch):
                if interruption.received is not None:
                    if pending is not None:
                        record(*pending)
                    save()
                    _stop_interrupted(interruption.received, step, finish(), run)
                target = config.next_stop(step, steps_per_epoch)
                progress, reached = advance(
                    state, step, target, lambda: interruption.received is not None
                )
                state = progress.state
                if reached == step:  # asked to stop before the first step
                    continue
                step = reached
                # The numbers of the stretch before this one are read while this one runs.
                if pending is not None:
                    record(*pending)
                pending = progress, step

                evaluating = step % config.evaluation_interval(steps_per_epoch) == 0
                saving = step % config.checkpoint_interval(steps_per_epoch) == 0
                if evaluating or saving or step == total:
                    record(*pending)
                    pending = None
                if validation is not None and (evaluating or step == total):
                    measured = evaluate(state, validation).means()
                    report.evaluated(step, log("validation", step, measured))
                    score = _score(config, measured)
                    best = choose_best(best, state, jnp.asarray(score, jnp.float32))
                if saving:
                    save()

            if step != checkpoints.latest:
                save()
            failure = finish()
            if failure:
                raise RunError(f"training ended at step {step}, but {failure}")
            if interruption.received is not None:  # in the last stretch: more may come after it
                _stop_interrupted(interruption.received, step, None, run)

    seconds = history[-1]["seconds"] if history else 0.0
    if validation is None:
        return Fitted(state, state, np.asarray(state.step), history, seconds)
    chosen = replace(state, params=best.params, model_state=best.model_state)
    return Fitted(state, chosen, np.asarray(best.step), history, seconds)


def _check_validation(
    learner: Learner, state: TrainState, validation: Dataset | None, config: FitConfig
) -> None:
    if validation is None:
        if config.patience:
            raise UsageError("patience needs a validation set, and the data has none")
        return
    batch = next(validation.evaluation_batches(config.evaluation_batch_size))
    names = jax.eval_shape(learner.eval_step, state, batch).sums
    check_choice("monitor", config.monitor, names)


def _score(config: FitConfig, measured: Mapping[str, np.ndarray]) -> np.ndarray:
    """The monitored metric, turned so that larger is better; -inf where any is not finite."""
    value = measured[config.monitor]
    finite = np.all([np.isfinite(values) for values in measured.values()], axis=0)
    return np.where(finite, -value if config.monitor == "loss" else value, -np.inf)


def patience_exhausted(config: FitConfig, best: Best, step: int, steps_per_epoch: int) -> bool:
    """Whether no run has improved for as many evaluations as early stopping allows."""
    if not config.patience:
        return False
    patience = config.patience * config.evaluation_interval(steps_per_epoch)
    return bool((step - np.asarray(best.step) >= patience).all())


def _stop_nonfinite(what: str, first_bad: np.ndarray, checkpoints: Checkpoints, run: Run) -> None:
    """End the run; `first_bad` is the step since which each of the runs is bad, or -1."""
    failure = checkpoints.finish()
    steps = np.ravel(np.where(first_bad >= 0, first_bad, np.iinfo(first_bad.dtype).max))
    which = f" in run {steps.argmin()}" if first_bad.ndim else ""
    verb = "is" if what == "loss" else "are"
    kept = checkpoints.latest
    remains = "there is no checkpoint yet" if kept is None else f"that of step {kept} is kept"
    raise RunError(
        f"the {what} {verb} not finite at step {steps.min()}{which}; of the checkpoints in "
        f"{run.checkpoints} {remains}{f' ({failure})' if failure else ''}: lower the learning "
        "rate or clip the gradient, in a new run"
    )


def _stop_interrupted(received: Signals, step: int, failure: str | None, run: Run) -> None:
    saved = f"saved at step {step}" if failure is None else f"not saved at step {step}: {failure}"
    raise Interrupted(
        f"stopped by {received.name}, {saved}; go on with: {run.resume_command}",
        EXIT_CODES[received],
    )
