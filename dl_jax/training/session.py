"""What one call of `fit` works with: the run on disk, the state of training, and their moves."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from signal import Signals
from typing import Any, NamedTuple

import jax
import numpy as np

from dl_jax.compilation import jit
from dl_jax.data import Dataset
from dl_jax.errors import RunError, UsageError, check_choice
from dl_jax.learners import Learner, TrainState, Weights, check_start
from dl_jax.processes import greatest
from dl_jax.runs import Run
from dl_jax.runs.checkpoints import Checkpoints
from dl_jax.runs.interruption import EXIT_CODES, Interrupted, Interruption
from dl_jax.runs.progress import ProgressReport
from dl_jax.training.best import Best, all_finite, update_best, with_best
from dl_jax.training.chunk import Chunk, make_train_chunk
from dl_jax.training.evaluate import make_evaluate
from dl_jax.training.fit_config import FitConfig
from dl_jax.training.fitted import Fitted
from dl_jax.training.validation import (
    EvaluateHook,
    check_metric_names,
    check_validation,
    checked_numbers,
    score_and_loss,
)


class Saved(NamedTuple):
    """What a checkpoint holds; the position in the data is the state's step."""

    state: TrainState
    best: Best | None


class Session:
    """One call of `fit`, from where the run stands on disk.

    Attributes:
        step: updates made so far.
        total: updates to be made.
        state: the learner's state at `step`.
        chooses: whether anything has been measured by which the best parameters are chosen.
        best: the best parameters so far; None without a validation set.
        history: rows logged so far.
        pending: the chunk whose metrics have not been read yet, and the step that it reached. They
            are read while the next chunk runs, so that the device never waits for the host.
    """

    def __init__(
        self,
        learner: Learner,
        data: Mapping[str, Dataset],
        config: FitConfig,
        run: Run,
        start: Weights | None = None,
        evaluate: EvaluateHook | None = None,
    ) -> None:
        """Initialize the state, and check that the configuration fits the data and the learner.

        Raises:
            UsageError: it does not; nothing was written, and a new run's directory is removed.
        """
        self.config, self.run = config, run
        try:
            if "train" not in data:
                raise UsageError(f"the data has {', '.join(data) or 'nothing'}, expected 'train'")
            if run.trained:
                raise UsageError(
                    f"{run.directory} was trained in this process already: train another learner "
                    "in run.part(name)"
                )
            self.train, self.validation = data["train"], data.get("validation")
            order = self.train.order(config.batch_size, config.seed, learner.streams)
            self.steps_per_epoch = order.steps_per_epoch
            self.total = config.total_steps(order.steps_per_epoch)
            self.state = _initial_state(learner, config.seed, start)
            check_validation(learner, self.state, self.validation, config, evaluate)
        except Exception:
            run.discard()  # its name stays free
            raise
        self.evaluates = self.validation is not None or evaluate is not None
        self.best = jit(Best.initial)(self.state) if self.evaluates else None
        self.chooses = self.validation is not None
        self.step, self.history = 0, []
        self._save_failure: str | None = None
        self.pending: tuple[Chunk, int] | None = None
        self._train_chunk = make_train_chunk(
            learner,
            self.train,
            order,
            on_device={"auto": self.train.fits_on_device, "always": True}.get(
                config.dataset_on_device, False
            ),
            compiled_loop={"auto": None, "compiled": True}.get(config.loop, False),
        )
        self._evaluate = make_evaluate(learner, config.evaluation_batch_size)
        self._evaluate_hook = evaluate
        self._weights = learner.weights
        self._update_best = jit(update_best)
        self._finite_replicas = jit(lambda state: all_finite(state.params, state.step.ndim))

    def __enter__(self) -> "Session":
        """Open the run: restore its newest checkpoint, show progress, listen for signals."""
        config, run = self.config, self.run
        with ExitStack() as stack:
            self.checkpoints = stack.enter_context(
                Checkpoints(run.checkpoints, config.keep_checkpoints, run.config)
            )
            messages = self._restore() if run.resumed else []
            examples = config.batch_size * max(1, self.state.step.size)
            self.progress = stack.enter_context(
                ProgressReport(self.total, self.step, examples, quiet=not run.writes)
            )
            self.interruption = stack.enter_context(Interruption())
            for message in messages:
                self.progress.say(message)
            self._exits = stack.pop_all()
        self._began = time.monotonic() - self.seconds
        return self

    def __exit__(self, *error: Any) -> None:
        self._exits.__exit__(*error)

    def _restore(self) -> list[str]:
        """Take up the run where its newest whole checkpoint stands; returns what to say of it."""
        run = self.run
        restored = self.checkpoints.restore(Saved(self.state, self.best))
        if restored is None:
            run.clear_results()
            self.history = run.history(up_to_step=0)
            return [f"no checkpoint in {run.checkpoints}: training from the start"]
        if restored.step > self.total:
            raise UsageError(
                f"{run.directory} stands at step {restored.step}, beyond the {self.total} steps "
                f"asked for: ask for at least {restored.step}, or start a new run"
            )
        self.step, (self.state, self.best) = restored.step, restored.tree
        if self.step < self.total:
            run.clear_results()
        self.history = run.history(up_to_step=self.step)
        self.chooses |= any(row["split"] == "validation" for row in self.history)
        return [
            *(f"{line}; resuming from that of step {self.step}" for line in restored.damaged),
            f"resumed {run.directory} at step {self.step} of {self.total}",
        ]

    @property
    def seconds(self) -> float:
        """Time spent up to the last row, over all sessions of the run."""
        return self.history[-1]["seconds"] if self.history else 0.0

    # Whether something is due.

    def is_due(self, interval: int) -> bool:
        """Whether `step` is a multiple of `interval`."""
        return self.step % interval == 0

    @property
    def evaluation_due(self) -> bool:
        """Whether this step is one of an evaluation; the last always is."""
        interval = self.config.evaluation_interval(self.steps_per_epoch)
        return self.evaluates and (self.is_due(interval) or self.step == self.total)

    @property
    def checkpoint_due(self) -> bool:
        """Whether this step is one of a checkpoint."""
        return self.is_due(self.config.checkpoint_interval(self.steps_per_epoch))

    @property
    def ended(self) -> bool:
        """Whether all steps are made, or the patience of early stopping is exhausted."""
        return self.step >= self.total or self._patience_exhausted

    @property
    def _patience_exhausted(self) -> bool:
        """Whether no replica has improved for `patience` evaluations."""
        if not self.config.patience or self.best is None:
            return False
        allowed = self.config.patience * self.config.evaluation_interval(self.steps_per_epoch)
        return bool((self.step - np.maximum(np.asarray(self.best.step), 0) >= allowed).all())

    # The moves.

    def train_chunk(self) -> bool:
        """Train to the next step at which something is due; whether any step was made."""
        target = self.config.next_stop(self.step, self.steps_per_epoch)
        chunk, reached = self._train_chunk(self.state, self.step, target, self._is_asked_to_stop)
        self.state = chunk.state
        if reached == self.step:  # asked to stop before the first step
            return False
        self.step = reached
        self.log_pending()  # the chunk before, while this one runs
        self.pending = chunk, reached
        if self.evaluation_due or self.checkpoint_due or self.step == self.total:
            self.log_pending()
        return True

    def log_pending(self) -> None:
        """Log the training metrics of the pending chunk, if there is one; stop at a NaN."""
        if self.pending is None:
            return
        (chunk, reached), self.pending = self.pending, None
        self.progress.trained(reached, self._log("train", reached, chunk.metrics.means()))
        first_bad = np.asarray(chunk.first_bad)
        if self.config.stop_on_nonfinite and (first_bad >= 0).any():
            self._stop_nonfinite("loss is", first_bad)

    def evaluate(self) -> None:
        """Measure the validation set, and keep the parameters of replicas that improved."""
        if self.best is None:
            return
        measured = {}
        if self.validation is not None:
            measured |= self._evaluate(self.state, self.validation).means()
        if self._evaluate_hook is not None:
            more = self._evaluate_hook(self.state)
            measured |= checked_numbers(more, self.state.replicas, measured)
        if not measured:  # a hook that draws, and measures nothing
            return
        check_choice("monitor", self.config.monitor, measured)
        self.chooses = True
        self.progress.evaluated(self.step, self._log("validation", self.step, measured))
        score, loss = score_and_loss(self.config, measured)
        self.best = self._update_best(self.best, self.state, score, loss)

    def save(self) -> None:
        """Begin to save a checkpoint; parameters that are not finite end the run instead."""
        finite = np.asarray(self._finite_replicas(self.state))
        if self.config.stop_on_nonfinite and not finite.all():
            self._stop_nonfinite("parameters are", np.where(finite, -1, self.step))
        failure = self.checkpoints.save(self.step, Saved(self.state, self.best))
        self._save_failure = failure
        if failure:
            self.progress.say(f"warning: {failure}; the run continues")

    def stop_if_asked(self) -> None:
        """Save and end the run if a signal came."""
        received = self._received()
        if received is None:
            return
        self.log_pending()
        self.save()
        self._stop_interrupted(received, self._wait_until_saved())

    def finish(self) -> Fitted:
        """Make sure that the last step is saved, and return the result."""
        if self.step != self.checkpoints.latest:
            self.save()
        failure = self._wait_until_saved()
        if failure:
            raise RunError(
                f"training ended at step {self.step}, but {failure}: see to that, then resume "
                f"with: {self.run.resume_command}"
            )
        received = self._received()
        if received is not None:  # more may come after this training
            self._stop_interrupted(received, None)
        chosen = self.best if self.chooses else None
        best = self.state if chosen is None else with_best(self.state, chosen)
        best_step = np.asarray((chosen or self.state).step)
        self.run.trained = True
        return Fitted(self.state, best, best_step, self.history, self.seconds, self._weights(best))

    # Their parts.

    def _is_asked_to_stop(self) -> bool:
        """Whether a chunk may end early; processes that train together end it together."""
        return self.interruption.received is not None and jax.process_count() == 1

    def _received(self) -> Signals | None:
        """The signal that came to this process, or to another that trains with it."""
        return Signals(number) if (number := greatest(self.interruption.received or 0)) else None

    def _log(self, split: str, step: int, measured: Mapping[str, np.ndarray]) -> dict[str, Any]:
        seconds = round(time.monotonic() - self._began, 3)
        row = {"step": step, "epoch": step / self.steps_per_epoch, "split": split}
        check_metric_names(measured)
        # Replicas in several axes are logged as one list.
        flat = {n: v.reshape(-1) if v.ndim > 1 else v for n, v in measured.items()}
        self.history.append(self.run.log({**row, "seconds": seconds, **flat}))
        return self.history[-1]

    def _wait_until_saved(self) -> str | None:
        """Wait until `step` is saved; returns why it is not, if it is not."""
        failure = self.checkpoints.finish()
        if self.checkpoints.latest == self.step:
            return None
        reason = failure or self._save_failure
        return reason or f"its checkpoint could not be saved in {self.run.checkpoints}"

    def _stop_nonfinite(self, what: str, first_bad: np.ndarray) -> None:
        """End the run; `first_bad` is the first bad step of each replica, or -1."""
        failure = self.checkpoints.finish()
        steps = np.ravel(np.where(first_bad >= 0, first_bad, np.iinfo(first_bad.dtype).max))
        which = f" in replica {steps.argmin()}" if first_bad.ndim else ""
        kept = self.checkpoints.latest
        remains = "no checkpoint" if kept is None else f"the checkpoint of step {kept}"
        others = ", or train on with the others (no-stop-on-nonfinite)" if steps.size > 1 else ""
        raise RunError(
            f"the {what} not finite at step {steps.min()}{which}; {remains} is kept in "
            f"{self.run.checkpoints}{f' ({failure})' if failure else ''}: lower the learning rate "
            f"or clip the gradient{others}, in a new run"
        )

    def _stop_interrupted(self, received: Signals, failure: str | None) -> None:
        at = f"at step {self.step}"
        saved = f"saved {at}" if failure is None else f"not saved {at}: {failure}"
        raise Interrupted(
            f"stopped by {received.name}, {saved}; resume with: {self.run.resume_command}",
            EXIT_CODES[received],
        )


def _initial_state(learner: Learner, seed: int, start: Weights | None) -> TrainState:
    """`learner.init`, compiled, of arguments that every process can give: arrays of NumPy.

    Raises:
        UsageError: several processes train together, and the learner is not over their devices.
    """
    data = np.asarray(jax.random.key_data(jax.random.key(seed)))
    start = None if start is None else jax.tree.map(np.asarray, check_start(start))
    state = jit(lambda data, start: learner.init(jax.random.wrap_key_data(data), start))(
        data, start
    )
    if jax.process_count() > 1 and state.step.is_fully_addressable:
        raise UsageError(
            "several processes train together, and the learner is not over their devices: wrap it, "
            "as in sharded(learner, global_mesh())"
        )
    return state
