"""How long, how often and on what to train."""

from dataclasses import dataclass
from typing import Literal

from dl_jax.configuration import length_only, speed_only, stopping_only
from dl_jax.data import Dataset
from dl_jax.errors import MAX_INTEGER, UsageError, check_choice, check_integer, check_range

MAX_SEED = 2**63 - 1


@dataclass(frozen=True)
class FitConfig:
    """What `fit` needs to know beside the learner and the data.

    A run may be resumed with another value of a field that changes speed, or when training stops.
    """

    epochs: float = length_only(10)
    """Passes over the training set."""
    steps: int | None = length_only(None)
    """Updates; takes the place of `epochs` where given."""
    batch_size: int = 128
    """Examples in a training batch of one replica."""
    evaluation_batch_size: int = speed_only(1000)
    """Examples in an evaluation batch; changes speed and memory alone."""
    log_every: int = speed_only(100)
    """Steps between rows of training metrics; a signal is answered at the latest then."""
    evaluate_every: int = 0
    """Steps between evaluations on the validation set; 0 is once an epoch."""
    checkpoint_every: int = speed_only(0)
    """Steps between checkpoints; 0 is at every evaluation."""
    keep_checkpoints: int = speed_only(2)
    """Number of checkpoints to keep, the newest; each holds the best parameters so far too."""
    monitor: str = "accuracy"
    """Validation metric that chooses the best parameters; equal values are decided by the loss."""
    monitor_mode: Literal["auto", "min", "max"] = "auto"
    """Whether the monitored metric is minimized or maximized; auto knows `loss` and `accuracy`."""
    patience: int = stopping_only(0)
    """Early-stopping patience in evaluations; 0 disables."""
    stop_on_nonfinite: bool = stopping_only(True)
    """End the run at a loss that is not finite; turn it off for a sweep in which some points may
    diverge."""
    dataset_on_device: Literal["auto", "always", "never"] = speed_only("auto")
    """Hold the training set on the device, or stream it; auto holds it up to 1 GiB."""
    loop: Literal["auto", "compiled", "python"] = speed_only("auto")
    """Run many steps in one compiled loop, or call each from Python; auto does what is faster."""
    seed: int = 0
    """Seed of the initial parameters, of the order of the data and of all random layers."""

    def __post_init__(self) -> None:
        check_range("epochs", self.epochs, low=0, exclusive_low=True, high=1e9)
        if self.steps is not None:
            check_integer("steps", self.steps, low=1)
        for name in ("batch_size", "evaluation_batch_size", "log_every", "keep_checkpoints"):
            check_integer(name, getattr(self, name), low=1)
        for name in ("evaluate_every", "checkpoint_every", "patience"):
            check_integer(name, getattr(self, name), low=0)
        check_integer("seed", self.seed, low=0, high=MAX_SEED)
        for name, options in (
            ("monitor_mode", ("auto", "min", "max")),
            ("dataset_on_device", ("auto", "always", "never")),
            ("loop", ("auto", "compiled", "python")),
        ):
            check_choice(name, getattr(self, name), options)

    @property
    def maximizes(self) -> bool:
        """Whether larger values of the monitored metric are better.

        Raises:
            UsageError: the metric is neither the loss nor the accuracy, and the mode is not given.
        """
        mode = self.monitor_mode
        if mode == "auto":
            mode = {"loss": "min", "accuracy": "max"}.get(self.monitor, mode)
        if mode == "auto":
            raise UsageError(
                f"monitor_mode is auto, expected min or max: say which is better of {self.monitor}"
            )
        return mode == "max"

    def check_monitor_mode(self) -> None:
        """Raise unless it is known which values of the monitored metric are better."""
        _ = self.maximizes

    def updates(self, dataset: Dataset) -> int:
        """Number of updates of the whole training, as a learning-rate schedule needs it.

        Args:
            dataset: the training set.

        Raises:
            UsageError: a batch is larger than the set; or there are more updates than an int32
                counts.
        """
        return self.total_steps(dataset.order(self.batch_size, self.seed).steps_per_epoch)

    def total_steps(self, steps_per_epoch: int) -> int:
        """Number of updates of the whole training.

        Raises:
            UsageError: there are more than an int32 counts.
        """
        total = self.steps or max(1, round(self.epochs * steps_per_epoch))
        if total > MAX_INTEGER:
            raise UsageError(
                f"{self.epochs:g} epochs of {steps_per_epoch} steps are {total} steps, expected at "
                f"most {MAX_INTEGER}"
            )
        return total

    def next_stop(self, step: int, steps_per_epoch: int) -> int:
        """The next step after `step` at which something is logged, evaluated or saved."""
        intervals = [
            self.log_every, self.evaluation_interval(steps_per_epoch),
            self.checkpoint_interval(steps_per_epoch),
        ]  # fmt: skip
        stops = [(step // interval + 1) * interval for interval in intervals]
        return min(*stops, self.total_steps(steps_per_epoch))

    def evaluation_interval(self, steps_per_epoch: int) -> int:
        """Steps between evaluations."""
        return self.evaluate_every or steps_per_epoch

    def checkpoint_interval(self, steps_per_epoch: int) -> int:
        """Steps between checkpoints."""
        return self.checkpoint_every or self.evaluation_interval(steps_per_epoch)
