"""Lookups beyond the table: narrow types, and sums in float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.functional import embed


@pytest.mark.parametrize(("dtype", "rows"), [(np.int8, 300), (np.int16, 70_000)])
def test_a_negative_index_of_a_narrow_type_gives_nan(dtype, rows):
    y = embed(np.array([-1, 100], dtype), jnp.ones((rows, 1)))
    np.testing.assert_array_equal(y[:, 0], [np.nan, 1])


def test_the_gradient_of_a_row_is_summed_in_float32():
    """Added up in bfloat16, four thousand ones are 256."""
    table = jnp.ones((3, 2), jnp.bfloat16)
    gradient = jax.grad(lambda t: embed(jnp.zeros(4096, int), t).astype(jnp.float32).sum())(table)
    assert gradient.dtype == jnp.bfloat16
    np.testing.assert_array_equal(gradient.astype(jnp.float32), [[4096] * 2, [0] * 2, [0] * 2])
