"""Shapes that are broadcast, against NumPy's, and those that cannot be."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

from dl_jax.functional import broadcast_shapes, expand_as

shapes = mutually_broadcastable_shapes(num_shapes=3, max_dims=4, max_side=4, min_side=0)


@settings(deadline=None, max_examples=200)
@given(shapes)
def test_shapes_are_those_of_numpy(drawn):
    assert broadcast_shapes(*drawn.input_shapes) == drawn.result_shape


@settings(deadline=None, max_examples=300)
@given(st.lists(st.lists(st.integers(1, 3), max_size=3), max_size=3))
def test_any_shapes_agree_or_not_as_in_numpy(drawn):
    try:
        expected = np.broadcast_shapes(*map(tuple, drawn))
    except ValueError:
        with pytest.raises(ValueError, match="cannot be broadcast"):
            broadcast_shapes(*drawn)
    else:
        assert broadcast_shapes(*drawn) == expected


def test_the_error_names_shapes_axis_and_lengths():
    with pytest.raises(ValueError, match=r"shapes \(2, 1, 3\) and \(4, 2\) .* axes -1 .* 3 and 2"):
        broadcast_shapes((2, 1, 3), (1, 1, 1), (4, 2))


def test_the_gradient_of_stretching_is_summed_in_float32():
    like = jnp.ones((8, 2), jnp.bfloat16)
    gradient = jax.grad(lambda x: expand_as(x, like).sum())
    assert re.search(r"f32\[2\] = reduce_sum", str(jax.make_jaxpr(gradient)(like[:1])))


@pytest.mark.parametrize(
    ("shape", "target", "said"),
    [
        ((2, 3), (3,), "which has fewer axes"),
        ((2, 3), (4, 2, 4), "its axis 1 has length 3, expected 1 or 4"),
        ((3,), (1,), "its axis 0 has length 3, expected 1 or 1"),
    ],
)
def test_shapes_that_cannot_be_expanded(shape, target, said):
    with pytest.raises(ValueError, match=said):
        expand_as(jnp.zeros(shape), jnp.zeros(target))
