"""The optimizers as one rule with different numbers, so that a sweep can map over which it is.

Under `vmap` a choice between rules computes all of them, and keeps the memories of all. Numbers
cost the two memories of Adam, whichever optimizer they make.
"""

from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

from dl_jax.errors import check_choice
from dl_jax.optim.optimizers import Moments, Rule, descent
from dl_jax.types import Tree

Number: TypeAlias = float | Float[Array, ""]
Flag: TypeAlias = bool | Bool[Array, ""]


class OptimizerNumbers(NamedTuple):
    """An optimizer as numbers; arrays of them, one entry a run, are mapped over.

    m = decay * m + gain * g
    s = square_decay * s + (1 - square_decay) * g^2
    m^, s^ = m / (1 - decay^t), s / (1 - square_decay^t) if corrected, else m, s
    n = g + decay * m  if it looks ahead, else m^
    d = n / (sqrt(s^ + inner) + outer)  if adaptive, else n
    theta' = theta - learning_rate * (d + weight_decay * theta)
    """

    learning_rate: Number
    weight_decay: Number = 0.0
    decay: Number = 0.0
    gain: Number = 1.0
    look_ahead: Flag = False
    adaptive: Flag = False
    square_decay: Number = 0.0
    corrected: Flag = False
    inner: Number = 0.0
    outer: Number = 0.0


ADAM = OptimizerNumbers(
    1.0, decay=0.9, gain=0.1, adaptive=True, square_decay=0.999, corrected=True, outer=1e-8
)
NUMBERS = {
    "sgd": OptimizerNumbers(1.0),
    "momentum": OptimizerNumbers(1.0, decay=0.9),
    "nesterov": OptimizerNumbers(1.0, decay=0.9, look_ahead=True),
    "rmsprop": OptimizerNumbers(1.0, adaptive=True, square_decay=0.9, inner=1e-8),
    "adam": ADAM,
    "adamw": ADAM,
}


def optimizer_numbers(
    name: str, learning_rate: Number, weight_decay: Number = 0.0
) -> OptimizerNumbers:
    """The numbers of an optimizer of `dl_jax.optim`, with its default decays.

    Raises:
        UsageError: the name is unknown.
    """
    check_choice("optimizer", name, NUMBERS)
    return NUMBERS[name]._replace(learning_rate=learning_rate, weight_decay=weight_decay)


def by_numbers(numbers: OptimizerNumbers) -> optax.GradientTransformation:
    """The optimizer that these numbers make; they may be traced, and differ from run to run.

        columns = [jnp.array(column) for column in zip(*rows)]       # of OptimizerNumbers
        optimizer = by_numbers(OptimizerNumbers(*(column[which] for column in columns)))

    The sources are those of the optimizers, in `dl_jax.optim.optimizers`.
    """
    decay, rho = numbers.decay, numbers.square_decay

    def init(params: Tree) -> Moments:
        return Moments(*(jax.tree.map(jnp.zeros_like, params) for _ in range(2)))

    def direction(gradient: Tree, memory: Moments, t: Array) -> tuple[Tree, Moments]:
        mean = jax.tree.map(lambda m, g: decay * m + numbers.gain * g, memory.mean, gradient)
        square = jax.tree.map(lambda s, g: rho * s + (1 - rho) * g**2, memory.square, gradient)
        mean_scale = jnp.where(numbers.corrected, 1 - decay**t, 1.0)
        square_scale = jnp.where(numbers.corrected, 1 - rho**t, 1.0)

        def towards(g: Array, m: Array, s: Array) -> Array:
            n = jnp.where(numbers.look_ahead, g + decay * m, m / mean_scale)
            root = jnp.sqrt(s / square_scale + numbers.inner) + numbers.outer
            return jnp.where(numbers.adaptive, n / root, n)

        return jax.tree.map(towards, gradient, mean, square), Moments(mean, square)

    rule = Rule(init, direction)
    return descent(rule, numbers.learning_rate, weight_decay=numbers.weight_decay)
