"""What a learner is: three pure functions and the arrays that they pass along."""

from collections.abc import Callable
from typing import NamedTuple

from flax import struct

from dl_jax.learners.metrics import Metrics
from dl_jax.types import Batch, Leaf, PRNGKey, Tree


@struct.dataclass
class TrainState:
    """All that training changes, and nothing but arrays: it can be mapped, sharded, saved, donated.

    Attributes:
        step: updates made so far; its shape is that of the runs held, `()` for one, `(n,)` for n.
        params: parameters.
        model_state: what the model changes outside the gradient.
        opt_state: the optimizer's state.
        key: random key of the run; that of a step is `fold_in(key, step)`.
    """

    step: Leaf  # int32 [*runs]
    params: Tree
    model_state: Tree
    opt_state: Tree
    key: Leaf  # [*runs]


class Learner(NamedTuple):
    """A way to learn as three pure functions.

    init: `init(key) -> state`.
    train_step: `train_step(state, batch) -> (state, metrics)`, one update.
    eval_step: `eval_step(state, batch) -> metrics`; examples whose `mask` is 0 do not count.
    """

    init: Callable[[PRNGKey], TrainState]
    train_step: Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
    eval_step: Callable[[TrainState, Batch], Metrics]
