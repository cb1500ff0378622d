"""What the table of operations is made of, and how a row is compared with its reference."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st

try:
    import torch
except ImportError:
    torch = None

Tree = Any
HALF = jnp.bfloat16
TOLERANCE = {np.dtype(np.float32): 2e-5, np.dtype(HALF): 3e-2}


class Case:
    """One call: operands, which are differentiated, and options, which are not."""

    def __init__(self, *operands: Tree, **options: Any) -> None:
        self.operands, self.options = operands, options

    def __repr__(self) -> str:  # shown by Hypothesis
        shapes = jax.tree.map(np.shape, self.operands)
        return f"Case({shapes}, {self.options})"


@dataclass(frozen=True)
class Edge:
    """A call at an edge: its value, and the gradients of the sum of its value."""

    case: Case
    value: Tree = None
    """That of the reference where None."""
    gradients: tuple[Tree, ...] | None = None
    """Finite where None; a gradient that is None is not compared."""


@dataclass(frozen=True, repr=False)
class Operation:
    """A row of the table."""

    function: Callable[..., Tree]
    reference: Callable[..., Tree]
    """The same on float64 arrays of NumPy."""
    case: Callable[[Callable, np.random.Generator], Case]
    """`case(draw, random)`: shapes and options are drawn by Hypothesis, numbers at random."""
    torch: Callable[..., Tree] | None = None
    """The same on float64 tensors, where PyTorch has the operation."""
    edges: Mapping[str, Edge] = field(default_factory=dict)
    half: Any = HALF
    """Type of the result for operands in bfloat16."""


# What is drawn. The first choice of each strategy is the first example: no trivial one.

generators = st.integers(0, 2**16).map(np.random.default_rng)
sizes = st.sampled_from((3, 1, 2, 4, 5))
leading = st.sampled_from(((2, 3), (4,), (), (1, 5), (2, 1, 3)))
booleans = st.sampled_from((True, False))


# How a row is compared.


def rounded(tree: Tree, dtype: Any) -> Tree:
    """The numbers of a tree, rounded to a type."""
    return jax.tree.map(lambda leaf: np.asarray(leaf, dtype), tree)


def cotangents_for(values: Tree) -> Tree:
    """Uneven weights of the results, the same in every type."""
    return jax.tree.map(lambda v: np.cos(np.arange(v.size)).reshape(v.shape).astype(HALF), values)


def value_and_gradients(operation: Operation, options: Mapping[str, Any]) -> Callable:
    """A function of operands and cotangents, which is compiled as one program."""

    def both(operands: Tree, cotangents: Tree) -> tuple[Tree, Tree]:
        if not operands:
            return operation.function(**options), ()
        y, pull = jax.vjp(lambda *a: operation.function(*a, **options), *operands)
        return y, pull(jax.tree.map(lambda g, v: jnp.asarray(g, v.dtype), cotangents, y))

    return both


def slopes(function: Callable[..., Tree], operands: Tree, cotangents: Tree, step: float = 1e-6):
    """Directions in each array of the operands, and central differences along them in float64."""
    leaves, structure = jax.tree.flatten(operands)
    random = np.random.default_rng(0)

    def along(place: int, change: np.ndarray) -> float:
        moved = [leaf + change if i == place else leaf for i, leaf in enumerate(leaves)]
        values = jax.tree.leaves(function(*jax.tree.unflatten(structure, moved)))
        weights = jax.tree.leaves(cotangents)
        return sum(np.vdot(g.astype(float), v) for g, v in zip(weights, values, strict=True))

    for place, leaf in enumerate(leaves):
        direction = random.normal(size=leaf.shape)
        difference = along(place, step * direction) - along(place, -step * direction)
        yield direction, difference / (2 * step)


def near(actual: Tree, expected: Tree, tolerance: float) -> None:
    """Trees equal to `tolerance` of the largest number expected."""
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert a.shape == e.shape
        scale = max(1.0, np.abs(e).max(initial=0))
        np.testing.assert_allclose(np.asarray(a, float), e, rtol=0, atol=tolerance * scale)


def assert_types(values: Tree, gradients: Tree, operation: Operation, dtype: Any) -> None:
    wanted = operation.half if dtype == HALF else dtype
    assert {leaf.dtype for leaf in jax.tree.leaves(values)} <= {np.dtype(wanted), np.dtype(bool)}
    assert {leaf.dtype for leaf in jax.tree.leaves(gradients)} <= {np.dtype(dtype)}


def compare(operation: Operation, case: Case, dtype: Any = np.float32, *, replicas: int = 0):
    """Value and gradients are those of the reference in float64, for each of the replicas."""
    tolerance = TOLERANCE[np.dtype(dtype)]
    given = rounded(case.operands, dtype)
    # A replica has the numbers of the case in another order.
    operands = [jax.tree.map(partial(np.roll, shift=i), given) for i in range(max(1, replicas))]
    exact = [rounded(each, np.float64) for each in operands]

    def reference(*operands: Tree) -> Tree:
        return operation.reference(*operands, **case.options)

    expected = [reference(*each) for each in exact]
    cotangents = cotangents_for(expected[0])
    function = value_and_gradients(operation, case.options)
    if replicas:
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *operands)
        results = jax.jit(jax.vmap(function, (0, None)))(stacked, cotangents)
        results = [jax.tree.map(lambda leaf, i=i: leaf[i], results) for i in range(replicas)]
    else:
        results = [jax.jit(function)(operands[0], cotangents)]
    for (value, gradients), each, wanted in zip(results, exact, expected, strict=True):
        assert_types(value, gradients, operation, dtype)
        near(value, wanted, tolerance)
        for gradient, (direction, slope) in zip(
            jax.tree.leaves(gradients), slopes(reference, each, cotangents), strict=True
        ):
            parts = np.asarray(gradient, float) * direction
            assert abs(parts.sum() - slope) <= tolerance * max(1.0, np.abs(parts).sum())


def compare_with_torch(operation: Operation, case: Case) -> None:
    """Value and gradients, number by number, are those of PyTorch in float64."""
    operands = rounded(case.operands, np.float32)
    tensors = jax.tree.map(
        lambda leaf: torch.tensor(leaf, dtype=torch.float64, requires_grad=True), operands
    )
    expected = operation.torch(*tensors, **case.options)
    cotangents = cotangents_for(jax.tree.map(lambda y: y.detach().numpy(), expected))
    value, gradients = jax.jit(value_and_gradients(operation, case.options))(operands, cotangents)
    near(value, jax.tree.map(lambda y: y.detach().numpy(), expected), 2e-5)
    total = sum(
        (torch.tensor(g.astype(float)) * y).sum()
        for g, y in zip(jax.tree.leaves(cotangents), jax.tree.leaves(expected), strict=True)
    )
    wanted = torch.autograd.grad(total, jax.tree.leaves(tensors))
    near(jax.tree.leaves(gradients), [g.numpy() for g in wanted], 2e-5)
