"""Update rules: how a gradient becomes a direction, and the state that this needs.

Moments have the types of their parameters; what divides by them is computed in float32 at least.
A gradient of None has no direction, and leaves the state of its parameter as it is.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dl_jax.concrete import check_concrete
from dl_jax.functional.precision import at_least_float32
from dl_jax.types import Array, Scalar, Tree

MOMENTUM = 0.9
"""Default decay of the velocity, and of rmsprop's mean square."""
B1, B2 = 0.9, 0.999
"""Default decays of Adam's two moments."""
EPSILON = 1e-8
"""Default term that keeps denominators from zero."""


class UpdateRule(NamedTuple):
    """How a gradient becomes a direction.

    init: `init(params) -> state`.
    direction: `direction(gradient, state, t) -> (direction, state)`, where t counts from 1.
    """

    init: Callable[[Tree], Any]
    direction: Callable[[Tree, Any, Array], tuple[Tree, Any]]


class Moments(NamedTuple):
    """Running means of the gradient and of its squared magnitude."""

    mean: Tree
    square: Tree


def plain() -> UpdateRule:
    """The gradient itself, without state."""
    return UpdateRule(lambda _params: (), lambda g, state, _t: (g, state))


def heavy_ball(decay: Scalar = MOMENTUM, *, nesterov: bool = False) -> UpdateRule:
    """The velocity, or the velocity after one more step with the same gradient."""
    check_concrete("decay", decay, low=0, high=1, exclusive_high=True)

    def direction(g: Tree, velocity: Tree, _t: Array) -> tuple[Tree, Tree]:
        velocity = _next_state(lambda g, v: decay * v + g, g, velocity)
        if not nesterov:
            return map_gradients(lambda _, v: v, g, velocity), velocity
        return map_gradients(lambda g, v: g + decay * v, g, velocity), velocity

    return UpdateRule(_zeros, direction)


def root_mean_square(decay: Scalar = MOMENTUM, epsilon: Scalar = EPSILON) -> UpdateRule:
    """The gradient over the root of the running mean of its squared magnitude."""
    check_concrete("decay", decay, low=0, high=1, exclusive_high=True)
    check_concrete("epsilon", epsilon, low=0)

    def direction(g: Tree, square: Tree, _t: Array) -> tuple[Tree, Tree]:
        square = _next_state(lambda g, s: decay * s + (1 - decay) * _squared(g), g, square)
        return map_gradients(
            lambda g, s: at_least_float32(g) / jnp.sqrt(at_least_float32(s) + epsilon), g, square
        ), square

    return UpdateRule(_real_zeros, direction)


def adaptive_moments(
    b1: Scalar = B1,
    b2: Scalar = B2,
    epsilon: Scalar = EPSILON,
) -> UpdateRule:
    """Adam's direction."""
    check_concrete("b1", b1, low=0, high=1, exclusive_high=True)
    check_concrete("b2", b2, low=0, high=1, exclusive_high=True)
    check_concrete("epsilon", epsilon, low=0)

    def direction(g: Tree, moments: Moments, t: Array) -> tuple[Tree, Moments]:
        mean = _next_state(lambda g, m: b1 * m + (1 - b1) * g, g, moments.mean)
        square = _next_state(lambda g, s: b2 * s + (1 - b2) * _squared(g), g, moments.square)
        of_mean, of_square = 1 - b1**t, 1 - b2**t
        update = map_gradients(
            lambda _, m, s: (
                (at_least_float32(m) / of_mean)
                / (jnp.sqrt(at_least_float32(s) / of_square) + epsilon)
            ),
            g,
            mean,
            square,
        )
        return update, Moments(mean, square)

    return UpdateRule(lambda params: Moments(_zeros(params), _real_zeros(params)), direction)


def map_gradients(function: Callable[..., Any], gradients: Tree, *trees: Tree) -> Tree:
    """`jax.tree.map` over gradients and trees like them; None where the gradient is None."""
    return jax.tree.map(
        lambda g, *rest: None if g is None else function(g, *rest),
        gradients,
        *trees,
        is_leaf=lambda leaf: leaf is None,
    )


def _next_state(function: Callable[..., Any], gradients: Tree, state: Tree) -> Tree:
    """`function(g, s)` in the type of `s`; `s` where the gradient is None."""
    return jax.tree.map(
        lambda g, s: s if g is None else function(g, s).astype(s.dtype),
        gradients,
        state,
        is_leaf=lambda leaf: leaf is None,
    )


def _squared(g: Array) -> Array:
    """|g|^2, which is real for complex gradients too."""
    return jnp.real(g) ** 2 + jnp.imag(g) ** 2 if jnp.iscomplexobj(g) else g**2


def _zeros(params: Tree) -> Tree:
    return jax.tree.map(jnp.zeros_like, params)


def _real_zeros(params: Tree) -> Tree:
    return jax.tree.map(lambda p: jnp.zeros_like(jnp.real(p)), params)
