"""Every operation: its value and gradients, at edges, in bfloat16, mapped and not compiled."""

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dl_jax import functional
from tests.functional.harness import (
    HALF,
    compare,
    compare_with_torch,
    generators,
    near,
    rounded,
    torch,
    value_and_gradients,
)
from tests.functional.operations import NOT_IN_THE_TABLE, OPERATIONS

each = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))


def examples(count):
    """Compilation is what costs: examples are few, small, and not made smaller where one fails."""
    return settings(
        max_examples=count,
        deadline=None,
        phases=(Phase.reuse, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )


def drawn(operation, data):
    return operation.case(data.draw, data.draw(generators))


@each
@examples(5)
@given(st.data())
def test_value_and_gradients_are_those_of_the_reference(operation, data):
    compare(operation, drawn(operation, data))


IN_TORCH = {name: operation for name, operation in OPERATIONS.items() if operation.torch}


@pytest.mark.skipif(torch is None, reason="PyTorch is not installed")
@pytest.mark.parametrize("operation", IN_TORCH.values(), ids=list(IN_TORCH))
@examples(2)
@given(st.data())
def test_value_and_gradients_are_those_of_torch(operation, data):
    compare_with_torch(operation, drawn(operation, data))


EDGES = {
    f"{name}: {edge}": (operation, operation.edges[edge])
    for name, operation in OPERATIONS.items()
    for edge in operation.edges
}


@pytest.mark.parametrize(("operation", "edge"), EDGES.values(), ids=list(EDGES))
def test_edges(operation, edge):
    operands, options = rounded(edge.case.operands, np.float32), edge.case.options
    value = edge.value
    if value is None:
        value = operation.reference(*rounded(operands, np.float64), **options)
    ones = jax.tree.map(np.ones_like, value)
    actual, gradients = jax.jit(value_and_gradients(operation, options))(operands, ones)
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(value), strict=True):
        assert a.shape == e.shape
        np.testing.assert_allclose(a, e, rtol=1e-5, atol=1e-6)
    if edge.gradients is None:
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))
        return
    for a, e in zip(gradients, edge.gradients, strict=True):
        if e is not None:
            np.testing.assert_allclose(a, e, rtol=1e-5, atol=1e-6)


@each
@examples(1)
@given(st.data())
def test_bfloat16_is_near_the_reference_and_has_the_right_types(operation, data):
    compare(operation, drawn(operation, data), HALF)


@each
@examples(1)
@given(st.data())
def test_mapped_is_one_by_one(operation, data):
    case = drawn(operation, data)
    if case.operands:
        compare(operation, case, replicas=2)


@each
@examples(1)
@given(st.data())
def test_arrays_of_numpy_are_accepted_without_compilation(operation, data):
    """Of float64, as NumPy makes them."""
    case = drawn(operation, data)
    value = operation.function(*case.operands, **case.options)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(value))
    near(value, operation.reference(*case.operands, **case.options), 2e-5)


def test_every_public_name_is_in_the_table_or_is_no_operation():
    named = {name.split(" ")[0] for name in OPERATIONS}
    assert named | NOT_IN_THE_TABLE == set(functional.__all__)
    assert not named & NOT_IN_THE_TABLE
