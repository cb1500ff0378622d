"""What a learner is: three pure functions and the state that they pass on."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from flax import struct

from dl_jax.errors import UsageError
from dl_jax.learners.metrics import Metrics
from dl_jax.paths import layout, unlike
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
        begin from instead of random ones, or a part of them.
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
    """`init(key)`, with the layers that `start` has in place of its own.

    A layer is given as a whole, its parameters with its state: learned parameters beside initial
    running statistics would be another network.

    Raises:
        UsageError: `start` is no pair of dicts of arrays, has parameters or shapes that the model
            has not, or a part of a layer.
    """
    drawn = init(key)
    if start is None:
        return drawn
    given = check_start(start)
    layers: set[str] = set()
    for what, part, wanted in zip(("params", "model_state"), given, drawn, strict=True):
        found = layout(part)
        layers |= {_layer_of(path) for path in found}
        expected = {n: v for n, v in layout(wanted).items() if n in found or _layer_of(n) in layers}
        for difference in unlike(found, expected):
            raise UsageError(
                f"start does not fit the model: of its {what} {difference}; give the parameters "
                "and the state of one replica of the same model, or of some of its layers"
            )
    params, model_state = (_filled(part, rest) for part, rest in zip(given, drawn, strict=True))
    return params, model_state


def _layer_of(path: str) -> str:
    return path.rpartition("/")[0]


def _filled(part: Tree, rest: Tree) -> Tree:
    """`rest`, with the leaves that `part` has in place of its own."""
    if not isinstance(rest, Mapping):
        return jnp.asarray(part)
    return {name: _filled(part[name], tree) if name in part else tree
            for name, tree in rest.items()}  # fmt: skip


def check_start(start: Any) -> Weights:
    """`start`, if it is `(params, model_state)`: two nested dicts of arrays.

    Raises:
        UsageError: it is anything else.
    """
    pair = isinstance(start, (tuple, list)) and len(start) == 2
    if not pair or not all(isinstance(part, Mapping) for part in start):
        raise UsageError(
            f"start is a {type(start).__name__}, expected the pair (params, model_state) of nested "
            "dicts, such as (loaded.params, loaded.model_state), with {} where there is no state"
        )
    for leaf in jax.tree.leaves(tuple(start)):
        if not hasattr(leaf, "dtype") or not hasattr(leaf, "shape"):
            raise UsageError(f"start has a leaf {leaf!r}, expected arrays alone")
    return dict(start[0]), dict(start[1])
