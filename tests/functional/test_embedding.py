"""Lookup of vectors, against torch's, and the layer that is split, against dense layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.functional import dense, embed, split_linear


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def test_lookup_and_its_gradient_are_those_of_torch():
    """The gradient of a row is the sum over all places where it was looked up."""
    torch = pytest.importorskip("torch")
    table, indices = normal(0, 7, 3), jnp.array([[0, 3, 3], [6, 0, 3]])
    leaf = torch.tensor(np.asarray(table), requires_grad=True)
    expected = torch.nn.functional.embedding(torch.tensor(np.asarray(indices)), leaf)
    expected.sin().sum().backward()
    np.testing.assert_allclose(embed(indices, table), expected.detach())
    gradient = jax.grad(lambda table: jnp.sin(embed(indices, table)).sum())(table)
    np.testing.assert_allclose(gradient, leaf.grad, atol=1e-6)


def test_an_index_outside_the_vocabulary_gives_nan():
    y = embed(jnp.array([1, 7, -1, 6]), normal(0, 7, 3))
    assert np.isnan(y).all(1).tolist() == [False, True, True, False]


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


@pytest.mark.parametrize("leading", [(5,), (2, 3)])
def test_a_split_layer_is_one_layer_for_each_part(leading):
    x, kernel, bias = normal(0, *leading, 12), normal(1, 4, 2), normal(2, 2)
    expected = jnp.concatenate(
        [dense(part, kernel, bias) for part in jnp.split(x, 3, axis=-1)], axis=-1
    )
    np.testing.assert_allclose(split_linear(x, kernel, bias), expected, rtol=1e-6)


def test_a_split_layer_is_a_dense_layer_with_a_block_diagonal_kernel():
    """Forward and gradients; the shared kernel's gradient is the sum over the blocks."""
    x, kernel, bias = normal(0, 5, 12), normal(1, 4, 2), normal(2, 2)

    def blocks(x, kernel, bias):
        return dense(x, jax.scipy.linalg.block_diag(*[kernel] * 3), jnp.tile(bias, 3))

    for operand in range(3):
        actual, expected = (
            jax.grad(lambda *a, f=f: jnp.sin(f(*a)).sum(), operand)(x, kernel, bias)
            for f in (split_linear, blocks)
        )
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


def test_features_that_cannot_be_split():
    with pytest.raises(ValueError, match="10 features cannot be split into parts of 4"):
        split_linear(jnp.ones((2, 10)), jnp.ones((4, 2)))
