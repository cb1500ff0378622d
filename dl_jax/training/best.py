"""The best parameters so far, of each run on its own."""

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float

from dl_jax.learners import TrainState
from dl_jax.types import Leaf, Tree


@struct.dataclass
class Best:
    """What scored best on the validation set, run by run.

    Attributes:
        params: parameters at that time.
        model_state: the model's state at that time.
        score: of the monitored metric, larger is better; -inf before the first evaluation.
        step: when it was.
    """

    params: Tree
    model_state: Tree
    score: Leaf  # float32 [*runs]
    step: Leaf  # int32 [*runs]

    @classmethod
    def initial(cls, state: TrainState) -> "Best":
        """Nothing evaluated yet: copies of the initial parameters, which training will donate.

        To be called under `jit`, so that all of it lies on the devices that hold the state.
        """
        params, model_state = jax.tree.map(jnp.copy, (state.params, state.model_state))
        return cls(
            params, model_state, jnp.full(state.step.shape, -jnp.inf), jnp.zeros_like(state.step)
        )


def update_best(best: Best, state: TrainState, score: Float[Array, "*runs"]) -> Best:
    """`best`, with every run that scored strictly better replaced by `state`'s.

    A run whose parameters are not all finite scores nothing: it may still be right by chance.
    """
    better = (score > best.score) & all_finite(state.params, state.step.ndim)

    def choose(new: Array, old: Array) -> Array:
        return jnp.where(better.reshape(better.shape + (1,) * (new.ndim - better.ndim)), new, old)

    return Best(
        params=jax.tree.map(choose, state.params, best.params),
        model_state=jax.tree.map(choose, state.model_state, best.model_state),
        score=choose(score, best.score),
        step=choose(state.step, best.step),
    )


def all_finite(tree: Tree, run_axes: int) -> Bool[Array, "*runs"]:
    """Whether all elements are finite, for each of the runs in the first `run_axes` axes."""
    leaves = [
        jnp.isfinite(leaf).all(tuple(range(run_axes, leaf.ndim))) for leaf in jax.tree.leaves(tree)
    ]
    return jnp.stack(leaves).all(0) if leaves else jnp.asarray(True)
