"""The scan beyond the table: sums in float32, and padding in the gradients of parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.functional import rnn_cell, scan_cell
from tests.functional.rows.sequences import CELLS, parameters, scanned, start


def test_gradients_of_parameters_are_summed_in_float32():
    """Added up step by step in bfloat16, two thousand ones are 256."""
    half = jax.tree.map(
        lambda leaf: np.zeros(leaf.shape, jnp.bfloat16),
        parameters(np.random.default_rng(0), 1, 3, 4, True),
    )
    x, h = np.zeros((1, 2000, 3), jnp.bfloat16), np.zeros((1, 4), jnp.bfloat16)

    def total(params):
        return scan_cell(rnn_cell, params, h, x)[1].astype(jnp.float32).sum()

    gradient = jax.jit(jax.grad(total))(half)
    np.testing.assert_allclose(gradient["input"]["bias"].astype(jnp.float32), 2000, rtol=0.01)


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
@pytest.mark.parametrize("reverse", [False, True])
def test_what_the_padding_holds_does_not_change_anything(cell, reverse):
    random = np.random.default_rng(0)
    params, x = parameters(random, CELLS[cell][2], 3, 4, True), random.normal(size=(2, 5, 3))
    carry, mask = start(random, cell, 2, 4), np.arange(5) < np.array([[3], [5]])
    params, carry = jax.tree.map(lambda leaf: leaf.astype(np.float32), (params, carry))

    @jax.jit
    def results(x):
        def total(params):
            last, outputs = scanned(params, carry, x, cell=cell, mask=mask, reverse=reverse)
            return sum(leaf.sum() for leaf in jax.tree.leaves((last, outputs))), (last, outputs)

        return jax.grad(total, has_aux=True)(params)

    x = x.astype(np.float32)
    zero, nan = (results(np.where(mask[..., None], x, fill)) for fill in (np.float32(0), np.nan))
    jax.tree.map(np.testing.assert_array_equal, nan, zero)
    np.testing.assert_array_equal(nan[1][1][0, 3:], 0)
