"""What a learner is: three pure functions and the state that they pass on."""

from collections.abc import Callable
from typing import NamedTuple

from flax import struct

from dl_jax.learners.metrics import Metrics
from dl_jax.types import Batch, Leaf, PRNGKey, Tree


@struct.dataclass
class TrainState:
    """All that training changes, and nothing but arrays: it can be mapped, sharded, saved, donated.

    Attributes:
        step: updates made so far.
        params: parameters.
        model_state: what the model changes outside the gradient.
        opt_state: the optimizer's state.
        key: random key; the key of a step is `fold_in(key, step)`.
    """

    step: Leaf  # int32 [*replicas]
    params: Tree
    model_state: Tree
    opt_state: Tree
    key: Leaf  # [*replicas]

    @property
    def replicas(self) -> tuple[int, ...]:
        """How many copies train side by side: `()` is one, `(n,)` is n, `(n, m)` is n times m."""
        return self.step.shape


class Learner(NamedTuple):
    """A way to learn as three pure functions.

    init: `init(key) -> state`.
    train_step: `train_step(state, batch) -> (state, metrics)`, one update.
    eval_step: `eval_step(state, batch) -> metrics`; examples whose `mask` is 0 do not count.
    streams: leading axes of a training batch, one for each `over_seeds`. Replicas along them see
        their own data; replicas along other axes share a batch. Evaluation batches have none.
    """

    init: Callable[[PRNGKey], TrainState]
    train_step: Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
    eval_step: Callable[[TrainState, Batch], Metrics]
    streams: tuple[int, ...] = ()
