"""What a learner is: three pure functions and the state that they pass on."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
from flax import struct

from dl_jax.errors import UsageError
from dl_jax.learners.metrics import Metrics
from dl_jax.paths import path_names
from dl_jax.types import Batch, Leaf, Params, PRNGKey, State, Tree

Weights: TypeAlias = tuple[Params, State]
"""Parameters and model state of a network."""


@struct.dataclass
class TrainState:
    """All that training changes, and nothing but arrays: it can be mapped, sharded, saved, donated.

    Attributes:
        step: updates made so far.
        params: parameters.
        model_state: what the model changes outside the gradient.
        opt_state: the optimizer's state.
        key: random key; the key of a step is `fold_in(key, step)`.
        carry: what passes from one training batch to the next, such as the hidden state of
            truncated backpropagation; the batch is the first axis of its leaves. Evaluation starts
            from zeros instead.
    """

    step: Leaf  # int32 [*replicas]
    params: Tree
    model_state: Tree
    opt_state: Tree
    key: Leaf  # [*replicas]
    carry: Tree = ()  # [*replicas, batch, ...]

    @property
    def replicas(self) -> tuple[int, ...]:
        """How many copies train side by side: `()` is one, `(n,)` is n, `(n, m)` is n times m."""
        return self.step.shape


def own(state: TrainState) -> Weights:
    """The parameters and the model state of a state."""
    return state.params, state.model_state


class Learner(NamedTuple):
    """A way to learn as three pure functions.

    init: `init(key, start=None) -> state`; `start` is parameters and model state of one replica to
        begin from instead of random ones.
    train_step: `train_step(state, batch) -> (state, metrics)`, one update.
    eval_step: `eval_step(state, batch) -> metrics`; examples whose `mask` is 0 do not count.
    weights: `weights(state) -> (params, model_state)` of the network that was trained, for
        predictions: all that the state has, or those of one of several networks.
    streams: leading axes of a training batch, one for each `over_seeds`. Replicas along them see
        their own data; replicas along other axes share a batch. Evaluation batches have none.
    """

    init: Callable[..., TrainState]
    train_step: Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
    eval_step: Callable[[TrainState, Batch], Metrics]
    weights: Callable[[TrainState], Weights] = own
    streams: tuple[int, ...] = ()


def initial_weights(
    init: Callable[[PRNGKey], Weights], key: PRNGKey, start: Weights | None
) -> Weights:
    """`init(key)`, or `start` where it is given and fits.

    Raises:
        UsageError: `start` has other parameters or shapes than the model.
    """
    if start is None:
        return init(key)
    expected = jax.eval_shape(init, key)
    for what, given, wanted in zip(("params", "model_state"), start, expected, strict=True):
        there, here = _described(given), _described(wanted)
        for name in sorted(there.keys() | here.keys()):
            if there.get(name) != here.get(name):
                raise UsageError(
                    f"start does not fit the model: its {what} have {name} "
                    f"{there.get(name, 'not at all')}, expected {here.get(name, 'none')}"
                )
    return jax.tree.map(jax.numpy.asarray, (start[0], start[1]))


def _described(tree: Tree) -> dict[str, str]:
    """Type and shape of each leaf under its path."""
    leaves = zip(path_names(tree), jax.tree.leaves(tree), strict=True)
    return {name: f"{leaf.dtype}{list(leaf.shape)}" for name, leaf in leaves}
