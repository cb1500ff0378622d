"""The best parameters so far, chosen for each replica on its own."""

from dataclasses import replace

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float

from dl_jax.learners import TrainState
from dl_jax.types import Leaf, Tree

NEVER = -1
"""The step of a replica that no evaluation has chosen yet."""


@struct.dataclass
class Best:
    """The parameters with the best validation score so far, for each replica.

    Attributes:
        params: parameters at that step.
        model_state: the model's state at that step.
        score: of the monitored metric, larger is better; -inf before the first evaluation.
        loss: validation loss at that step, which breaks ties of the score.
        step: the step of that evaluation; -1 before the first.
    """

    params: Tree
    model_state: Tree
    score: Leaf  # float32 [*replicas]
    loss: Leaf  # float32 [*replicas]
    step: Leaf  # int32 [*replicas]

    @classmethod
    def initial(cls, state: TrainState) -> "Best":
        """Before the first evaluation: copies of the initial parameters, which training donates.

        To be called under `jit`, so that all leaves lie on the devices that hold the state.
        """
        params, model_state = jax.tree.map(jnp.copy, (state.params, state.model_state))
        score = jnp.full(state.replicas, -jnp.inf)
        return cls(params, model_state, score, -score, jnp.full_like(state.step, NEVER))


def update_best(
    best: Best, state: TrainState, score: Float[Array, "*replicas"], loss: Float[Array, "*replicas"]
) -> Best:
    """`best`, with every replica that scored better replaced by `state`'s.

    Better is a higher score, or the same score at a lower loss. A replica whose score or parameters
    are not finite is never better: NaN logits, too, are right by chance.
    """
    better = (score > best.score) | ((score == best.score) & (loss < best.loss))
    better &= jnp.isfinite(score) & all_finite(state.params, state.step.ndim)

    def choose(new: Array, old: Array) -> Array:
        return jnp.where(_aligned(better, new), new, old)

    return Best(
        params=jax.tree.map(choose, state.params, best.params),
        model_state=jax.tree.map(choose, state.model_state, best.model_state),
        score=choose(score, best.score),
        loss=choose(loss, best.loss),
        step=choose(state.step, best.step),
    )


def with_best(state: TrainState, best: Best) -> TrainState:
    """`state` with the best parameters; NaN for a replica that no evaluation has chosen.

    A network that was never trained to anything finite must not pass for the best of its training.
    """
    never = best.step == NEVER

    def mark(leaf: Array) -> Array:
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            return leaf
        return jnp.where(_aligned(never, leaf), jnp.nan, leaf)

    params, model_state = jax.tree.map(mark, (best.params, best.model_state))
    return replace(state, params=params, model_state=model_state)


def all_finite(tree: Tree, replica_axes: int) -> Bool[Array, "*replicas"]:
    """Whether all elements are finite, for each replica along the first `replica_axes` axes."""
    leaves = [
        jnp.isfinite(leaf).all(tuple(range(replica_axes, leaf.ndim)))
        for leaf in jax.tree.leaves(tree)
    ]
    return jnp.stack(leaves).all(0) if leaves else jnp.asarray(True)


def _aligned(flags: Array, leaf: Array) -> Array:
    """`flags` of each replica, with axes of length 1 up to the rank of `leaf`."""
    return flags.reshape(flags.shape + (1,) * (leaf.ndim - flags.ndim))
