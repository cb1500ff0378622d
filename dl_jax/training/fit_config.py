"""How long, how often and on what to train."""

from dataclasses import dataclass
from typing import Literal

from dl_jax.data import BatchOrder
from dl_jax.errors import check_choice, check_range


@dataclass(frozen=True)
class FitConfig:
    """What `fit` needs to know beside the learner and the data."""

    epochs: float = 10
    """Passes over the training set."""
    steps: int | None = None
    """Updates; takes the place of `epochs` where given."""
    batch_size: int = 128
    """Examples in a training batch of one run."""
    evaluation_batch_size: int = 1000
    """Examples in an evaluation batch; changes speed and memory alone."""
    log_every: int = 100
    """Steps between rows of training metrics."""
    evaluate_every: int = 0
    """Steps between evaluations on the validation set; 0 is once an epoch."""
    checkpoint_every: int = 0
    """Steps between checkpoints; 0 is at every evaluation."""
    keep_checkpoints: int = 2
    """How many of the last checkpoints to keep; each carries the best parameters so far."""
    monitor: str = "accuracy"
    """Validation metric that chooses the best parameters: `loss` is minimized, any other is
    maximized."""
    patience: int = 0
    """Stop after so many evaluations in which no run improved; 0 is never."""
    stop_on_nonfinite: bool = True
    """End the run at a loss that is not finite; a sweep, in which some runs may diverge, goes
    on."""
    placement: Literal["auto", "resident", "streamed"] = "auto"
    """Hold the training set on the device, or stream it; auto holds it up to 1 GiB."""
    loop: Literal["auto", "rolled", "single"] = "auto"
    """Run many steps in one compiled loop, or call each from Python; auto does what is faster."""
    seed: int = 0
    """Seed of the initial parameters, of the order of the data and of all random layers."""

    def __post_init__(self) -> None:
        check_range("epochs", self.epochs, low=0, exclusive_low=True, high=1e9)
        if self.steps is not None:
            check_range("steps", self.steps, low=1)
        for name in ("batch_size", "evaluation_batch_size", "log_every", "keep_checkpoints"):
            check_range(name, getattr(self, name), low=1)
        for name in ("evaluate_every", "checkpoint_every", "patience", "seed"):
            check_range(name, getattr(self, name), low=0)
        for name, options in (
            ("placement", ("auto", "resident", "streamed")),
            ("loop", ("auto", "rolled", "single")),
        ):
            check_choice(name, getattr(self, name), options)

    def order(self, num_examples: int, runs: tuple[int, ...] = ()) -> BatchOrder:
        """The order in which so many runs visit so many examples.

        Raises:
            UsageError: a batch is larger than the set.
        """
        return BatchOrder(num_examples, self.batch_size, self.seed, runs)

    def updates(self, num_examples: int) -> int:
        """Number of updates of the whole training, as a learning-rate schedule needs it."""
        return self.total_steps(self.order(num_examples).steps_per_epoch)

    def total_steps(self, steps_per_epoch: int) -> int:
        """Number of updates of the whole training."""
        return self.steps or max(1, round(self.epochs * steps_per_epoch))

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
