"""Attention beyond the table: Flax's parameters, causality, and what is refused."""

import jax
import numpy as np
import pytest
from flax import linen

from dl_jax.functional import (
    causal_mask,
    dot_product_attention,
    multi_head_attention,
    sinusoidal_positions,
)


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_multi_head_attention_takes_the_parameters_of_flax():
    layer = linen.MultiHeadDotProductAttention(3, qkv_features=12, out_features=8)
    x, context, mask = normal(0, 2, 5, 8), normal(1, 2, 5, 8), causal_mask(5)
    params = jax.tree.map(
        lambda leaf: normal(leaf.size, *leaf.shape),
        jax.eval_shape(layer.init, jax.random.key(0), x)["params"],
    )
    with jax.numpy_rank_promotion("allow"):
        expected = jax.jit(lambda p: layer.apply({"params": p}, x, context, mask=mask))(params)
    actual = jax.jit(lambda p: multi_head_attention(x, context, **p, mask=mask))(params)
    np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(("time", "source"), [(6, 6), (4, 6), (1, 6)])
def test_no_gradient_flows_from_the_past_to_the_future(time, source):
    """The result of a query depends on no key after it; the last query sees the last key."""
    x, mask = normal(0, 1, source, 2, 4), causal_mask(time, source)

    def results(x):
        return dot_product_attention(x[:, source - time :], x, x, mask=mask)[0].sum((1, 2))

    gradients = np.abs(jax.jit(jax.jacrev(results))(x)).max((1, 3, 4))  # [T, S]
    np.testing.assert_array_equal(gradients > 0, np.tri(time, source, source - time) > 0)


def test_lengths_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="source is 3, expected at least time \\(4\\)"):
        causal_mask(4, 3)
    with pytest.raises(ValueError, match="even number of features, got 5"):
        sinusoidal_positions(3, 5)
