"""Gradient descent and its descendants, from scratch, as `optax.GradientTransformation`.

Every optimizer here is a *rule*, which turns a gradient into a direction and remembers what it has
to, and one descent along it that all share:

    d, memory = rule(g, memory, t)
    theta'    = theta - learning_rate(t) * (d + weight_decay * theta)

They go wherever optax's go (`optax.chain`, `by_path`), and optax's wherever these do.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from dl_jax.types import Leaf, Tree

LearningRate: TypeAlias = float | Float[Array, ""] | Callable[[Any], Any]
Mask: TypeAlias = Callable[[Tree], Tree]


class Rule(NamedTuple):
    """How a gradient becomes a direction.

    init: `init(params) -> memory`.
    direction: `direction(gradient, memory, t) -> (direction, memory)`, where t counts from 1.
    """

    init: Callable[[Tree], Any]
    direction: Callable[[Tree, Any, Array], tuple[Tree, Any]]


class DescentState(NamedTuple):
    """Updates made so far, and what the rule remembers."""

    step: Leaf
    memory: Any


class Moments(NamedTuple):
    """Running means of the gradient and of its square."""

    mean: Tree
    square: Tree


def descent(
    rule: Rule,
    learning_rate: LearningRate,
    *,
    weight_decay: float | Float[Array, ""] = 0.0,
    mask: Mask | None = None,
) -> optax.GradientTransformation:
    """Descend along a rule's direction.

    Args:
        rule: gives the direction.
        learning_rate: a number, or a function of the number of updates made so far.
        weight_decay: share of each parameter that is taken off beside the direction (decoupled).
        mask: `mask(params)` is true where decay applies, such as `path_mask(".*kernel")`;
            everywhere where None.

    Source of the decoupling: Loshchilov and Hutter (2017), arXiv:1711.05101, algorithm 2.
    """
    decays = not (isinstance(weight_decay, (int, float)) and weight_decay == 0)

    def init(params: Tree) -> DescentState:
        if decays and mask is not None:
            mask(params)  # whatever is wrong with its pattern is said here
        return DescentState(jnp.zeros((), jnp.int32), rule.init(params))

    def update(
        gradients: Tree, state: DescentState, params: Tree | None = None
    ) -> tuple[Tree, DescentState]:
        direction, memory = rule.direction(gradients, state.memory, state.step + 1)
        if decays:
            if params is None:
                raise ValueError(
                    "weight decay needs the parameters: update(gradients, state, params)"
                )
            chosen = jax.tree.map(lambda _: True, params) if mask is None else mask(params)
            direction = jax.tree.map(
                lambda d, theta, on: d + weight_decay * theta if on else d,
                direction,
                params,
                chosen,
            )
        rate: Any = learning_rate(state.step) if callable(learning_rate) else learning_rate
        updates = jax.tree.map(lambda d: jnp.asarray(-rate * d, d.dtype), direction)
        return updates, DescentState(state.step + 1, memory)

    return optax.GradientTransformation(init, update)  # type: ignore[arg-type]


def sgd(learning_rate: LearningRate) -> optax.GradientTransformation:
    """Stochastic gradient descent: `d = g`.

    Source: Robbins and Monro (1951), "A stochastic approximation method".
    """
    return descent(plain(), learning_rate)


def momentum(
    learning_rate: LearningRate, *, decay: float | Float[Array, ""] = 0.9
) -> optax.GradientTransformation:
    """The heavy ball: `v = decay * v + g`, `d = v`.

    Source: Polyak (1964), "Some methods of speeding up the convergence of iteration methods".
    """
    return descent(heavy_ball(decay), learning_rate)


def nesterov(
    learning_rate: LearningRate, *, decay: float | Float[Array, ""] = 0.9
) -> optax.GradientTransformation:
    """Momentum that looks ahead: `v = decay * v + g`, `d = g + decay * v`.

    Source: Sutskever et al. (2013), "On the importance of initialization and momentum in deep
    learning", equations 3 and 4, rewritten for the parameters at which the gradient is taken.
    """
    return descent(heavy_ball(decay, nesterov=True), learning_rate)


def rmsprop(
    learning_rate: LearningRate,
    *,
    decay: float | Float[Array, ""] = 0.9,
    epsilon: float = 1e-8,
) -> optax.GradientTransformation:
    """The gradient over its root mean square.

        s = decay * s + (1 - decay) * g^2
        d = g / sqrt(s + epsilon)

    Source: Tieleman and Hinton (2012), lecture 6.5 of "Neural networks for machine learning".
    """
    return descent(root_mean_square(decay, epsilon), learning_rate)


def adam(
    learning_rate: LearningRate,
    *,
    b1: float | Float[Array, ""] = 0.9,
    b2: float | Float[Array, ""] = 0.999,
    epsilon: float = 1e-8,
) -> optax.GradientTransformation:
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
    b1: float | Float[Array, ""] = 0.9,
    b2: float | Float[Array, ""] = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float | Float[Array, ""] = 1e-4,
    mask: Mask | None = None,
) -> optax.GradientTransformation:
    """Adam with decoupled weight decay; `mask=path_mask(".*kernel")` spares the biases.

    Source: Loshchilov and Hutter (2017), arXiv:1711.05101, algorithm 2.
    """
    rule = adaptive_moments(b1, b2, epsilon)
    return descent(rule, learning_rate, weight_decay=weight_decay, mask=mask)


# The rules.


def plain() -> Rule:
    """The gradient itself; nothing is remembered."""
    return Rule(lambda _params: (), lambda g, memory, _t: (g, memory))


def heavy_ball(decay: float | Float[Array, ""], *, nesterov: bool = False) -> Rule:
    """The velocity, or what it will be after one more step with the same gradient."""

    def direction(g: Tree, velocity: Tree, _t: Array) -> tuple[Tree, Tree]:
        velocity = jax.tree.map(lambda v, g: decay * v + g, velocity, g)
        if not nesterov:
            return velocity, velocity
        return jax.tree.map(lambda v, g: g + decay * v, velocity, g), velocity

    return Rule(_zeros, direction)


def root_mean_square(decay: float | Float[Array, ""], epsilon: float) -> Rule:
    """The gradient over the root of the running mean of its square."""

    def direction(g: Tree, square: Tree, _t: Array) -> tuple[Tree, Tree]:
        square = jax.tree.map(lambda s, g: decay * s + (1 - decay) * g**2, square, g)
        return jax.tree.map(lambda s, g: g / jnp.sqrt(s + epsilon), square, g), square

    return Rule(_zeros, direction)


def adaptive_moments(
    b1: float | Float[Array, ""], b2: float | Float[Array, ""], epsilon: float
) -> Rule:
    """Adam's direction."""

    def direction(g: Tree, moments: Moments, t: Array) -> tuple[Tree, Moments]:
        mean = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, moments.mean, g)
        square = jax.tree.map(lambda s, g: b2 * s + (1 - b2) * g**2, moments.square, g)
        of_mean, of_square = 1 - b1**t, 1 - b2**t
        toward = jax.tree.map(
            lambda m, s: (m / of_mean) / (jnp.sqrt(s / of_square) + epsilon), mean, square
        )
        return toward, Moments(mean, square)

    return Rule(lambda params: Moments(_zeros(params), _zeros(params)), direction)


def _zeros(params: Tree) -> Tree:
    return jax.tree.map(jnp.zeros_like, params)
