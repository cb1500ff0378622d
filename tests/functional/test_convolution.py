"""The convolution beyond the table: its types, its refusals, and SAME as XLA has it."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jax import lax

from dl_jax.functional import conv2d
from dl_jax.functional.windows import resolve_padding
from tests.functional.harness import HALF, value_and_gradients
from tests.functional.operations import OPERATIONS

sizes = st.tuples(st.integers(1, 8), st.integers(1, 8))
positive_pairs = st.one_of(st.integers(1, 3), st.tuples(st.integers(1, 3), st.integers(1, 3)))


@pytest.mark.parametrize("channels", [1, 4])
def test_the_result_has_the_type_of_the_images(channels):
    """Gradients have the types of the operands: parameters may stay in float32."""
    operation, cotangents = OPERATIONS["conv2d"], np.ones((2, 8, 8, 5), np.float32)
    x, kernel = jnp.ones((2, 8, 8, channels)), jnp.ones((3, 3, channels, 5))
    for image, parameters in ((HALF, jnp.float32), (jnp.float32, HALF)):
        operands = x.astype(image), kernel.astype(parameters), jnp.ones(5, parameters)
        y, gradients = jax.eval_shape(value_and_gradients(operation, {}), operands, cotangents)
        assert y.dtype == image
        assert [leaf.dtype for leaf in gradients] == [image, parameters, parameters]


@pytest.mark.parametrize(
    ("image", "window", "options", "said"),
    [
        ((1, 4, 4, 3), (3, 3, 2, 4), {}, "does not fit 3 input channels"),
        ((1, 4, 4, 4), (3, 3, 4, 4), {"groups": 2}, "in 2 groups does not fit"),
        ((1, 4, 4, 4), (3, 3, 2, 3), {"groups": 2}, "in 2 groups does not fit"),
        ((1, 4, 4, 4), (3, 3, 4, 4), {"groups": 0}, "in 0 groups"),
        ((1, 2, 4, 4), (3, 3, 4, 4), {"padding": "VALID"}, "reaches over 3 pixels of height"),
        (
            (1, 8, 4, 4),
            (3, 3, 4, 4),
            {"padding": 0, "dilation": 2},
            "reaches over 5 pixels of width, the padded image has 4",
        ),
        ((1, 4, 4, 4), (3, 3, 4, 4), {"stride": 0}, "stride is 0"),
        ((1, 4, 4, 4), (3, 3, 4, 4), {"stride": (1, 2, 3)}, "stride is (1, 2, 3)"),
        ((1, 4, 4, 4), (3, 3, 4, 4), {"dilation": (1, -1)}, "dilation is (1, -1)"),
        ((1, 4, 4, 4), (3, 3, 4, 4), {"padding": "same"}, "padding is 'same'"),
        ((1, 4, 4, 4), (3, 3, 4, 4), {"padding": -1}, "padding is -1"),
        ((1, 4, 4, 4), (3, 3, 4, 4), {"padding": (1, 2, 3)}, "padding is (1, 2, 3)"),
        ((1, 4, 4, 4), (3, 3, 4, 4), {"padding": ((1, 2), (3,))}, "padding is ((1, 2), (3,))"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(image, window, options, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        conv2d(jnp.zeros(image), jnp.zeros(window), **options)


@settings(
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(sizes, st.tuples(st.integers(1, 4), st.integers(1, 4)), positive_pairs, positive_pairs)
def test_same_padding_is_that_of_xla(size, window, stride, dilation):
    stride, dilation = (
        (value, value) if isinstance(value, int) else value for value in (stride, dilation)
    )
    reach = [(w - 1) * d + 1 for w, d in zip(window, dilation, strict=True)]
    expected = lax.padtype_to_pads(size, reach, stride, "SAME")
    assert resolve_padding("SAME", size, window, stride, dilation) == tuple(map(tuple, expected))
