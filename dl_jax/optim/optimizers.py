"""Gradient descent and its descendants, from scratch, as `optax.GradientTransformation`.

Every optimizer here is an update rule, which turns a gradient into a direction and keeps a state,
and one descent along that direction:

    d, state = rule(g, state, t)
    theta'   = theta - learning_rate(t) * (d + weight_decay * theta)

They compose with optax's (`optax.chain`, `by_path`), and accept what optax's accept: complex
parameters, 16-bit types, None for a gradient, and further arguments of `update`, which they ignore.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax

from dl_jax.concrete import check_concrete
from dl_jax.optim.rules import (
    B1,
    B2,
    EPSILON,
    MOMENTUM,
    UpdateRule,
    adaptive_moments,
    heavy_ball,
    map_gradients,
    plain,
    root_mean_square,
)
from dl_jax.types import Leaf, Scalar, Tree

LearningRate: TypeAlias = Scalar | Callable[[Any], Any]
Mask: TypeAlias = Tree | Callable[[Tree], Tree]


class DescentState(NamedTuple):
    """Number of updates made so far, and the state of the rule."""

    count: Leaf
    rule: Any


def descent(
    rule: UpdateRule,
    learning_rate: LearningRate,
    *,
    weight_decay: Scalar = 0.0,
    mask: Mask | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Descend along a rule's direction; updates have the types of the gradients.

    Args:
        rule: gives the direction.
        learning_rate: a number, or a function of the number of updates made so far.
        weight_decay: share of each parameter taken off beside the direction (decoupled).
        mask: where decay applies: a tree of booleans like the parameters, or like a prefix of
            them, or a function `mask(params)` that gives one, such as `path_mask(".*kernel")`;
            everywhere where None.

    Raises:
        UsageError: a rate or a decay, unless it is traced, is negative, infinite or NaN.
        ValueError: at `update`, if there is decay and the parameters are not passed.

    Source of the decoupling: Loshchilov and Hutter (2017), arXiv:1711.05101, algorithm 2.
    """
    if not callable(learning_rate):
        check_concrete("learning_rate", learning_rate, low=0)
    check_concrete("weight_decay", weight_decay, low=0)
    decays = not (isinstance(weight_decay, (int, float)) and weight_decay == 0)

    def decayed(params: Tree) -> Tree:
        """Whether decay applies, for each parameter."""
        prefix = mask(params) if callable(mask) else True if mask is None else mask
        return jax.tree.map(lambda on, part: jax.tree.map(lambda _: on, part), prefix, params)

    def init(params: Tree) -> DescentState:
        if decays:
            decayed(params)  # raises where the mask does not fit
        return DescentState(jnp.zeros((), jnp.int32), rule.init(params))

    def update(
        gradients: Tree, state: DescentState, params: Tree | None = None, **ignored: Any
    ) -> tuple[Tree, DescentState]:
        del ignored  # such as `value=`, which other optimizers of a chain may read
        count: Any = optax.safe_increment(state.count)
        direction, rule_state = rule.direction(gradients, state.rule, count)
        if decays and jax.tree.leaves(gradients):
            if params is None:
                raise ValueError(
                    "weight decay needs the parameters: update(gradients, state, params)"
                )
            direction = map_gradients(
                lambda d, theta, on: d + weight_decay * theta if on else d,
                direction,
                params,
                decayed(params),
            )
        rate: Any = learning_rate(state.count) if callable(learning_rate) else learning_rate
        updates = map_gradients(
            lambda g, d: jnp.asarray(-rate * d, jnp.result_type(g)), gradients, direction
        )
        return updates, DescentState(count, rule_state)

    return optax.GradientTransformationExtraArgs(init, update)  # type: ignore[arg-type]


def sgd(learning_rate: LearningRate) -> optax.GradientTransformationExtraArgs:
    """Stochastic gradient descent: `d = g`.

    Source: Robbins and Monro (1951), "A stochastic approximation method".
    """
    return descent(plain(), learning_rate)


def momentum(
    learning_rate: LearningRate, *, decay: Scalar = MOMENTUM
) -> optax.GradientTransformationExtraArgs:
    """The heavy ball: `v = decay * v + g`, `d = v`.

    Source: Polyak (1964), "Some methods of speeding up the convergence of iteration methods".
    """
    return descent(heavy_ball(decay), learning_rate)


def nesterov(
    learning_rate: LearningRate, *, decay: Scalar = MOMENTUM
) -> optax.GradientTransformationExtraArgs:
    """Momentum that looks ahead: `v = decay * v + g`, `d = g + decay * v`.

    Source: Sutskever et al. (2013), "On the importance of initialization and momentum in deep
    learning", equations 3 and 4, rewritten for the parameters at which the gradient is taken.
    """
    return descent(heavy_ball(decay, nesterov=True), learning_rate)


def rmsprop(
    learning_rate: LearningRate,
    *,
    decay: Scalar = MOMENTUM,
    epsilon: Scalar = EPSILON,
) -> optax.GradientTransformationExtraArgs:
    """The gradient over its root mean square.

        s = decay * s + (1 - decay) * g^2
        d = g / sqrt(s + epsilon)

    Source: Tieleman and Hinton (2012), lecture 6.5 of "Neural networks for machine learning".
    """
    return descent(root_mean_square(decay, epsilon), learning_rate)


def adam(
    learning_rate: LearningRate,
    *,
    b1: Scalar = B1,
    b2: Scalar = B2,
    epsilon: Scalar = EPSILON,
) -> optax.GradientTransformationExtraArgs:
    """Running means of the gradient and of its square, corrected for having started at zero.

        m = b1 * m + (1 - b1) * g          m^ = m / (1 - b1^t)
        s = b2 * s + (1 - b2) * g^2        s^ = s / (1 - b2^t)
        d = m^ / (sqrt(s^) + epsilon)

    Source: Kingma and Ba (2014), arXiv:1412.6980, algorithm 1.
    """
    return descent(adaptive_moments(b1, b2, epsilon), learning_rate)


def adamw(
    learning_rate: LearningRate,
    *,
    b1: Scalar = B1,
    b2: Scalar = B2,
    epsilon: Scalar = EPSILON,
    weight_decay: Scalar = 1e-4,
    mask: Mask | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Adam with decoupled weight decay; `mask=path_mask(".*kernel")` spares the biases.

    Source: Loshchilov and Hutter (2017), arXiv:1711.05101, algorithm 2.
    """
    rule = adaptive_moments(b1, b2, epsilon)
    return descent(rule, learning_rate, weight_decay=weight_decay, mask=mask)
