"""XLA's own convolution, with JAX's rules for derivatives and `vmap`."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def native(x, kernel, bias=None, *, stride=1, padding="SAME", dilation=1, groups=1):
    """XLA's convolution with JAX's rules for derivatives and `vmap`: the reference."""

    def pair(value):
        return (value, value) if isinstance(value, int) else tuple(value)

    if not isinstance(padding, str):
        padding = [pair(side) for side in pair(padding)]
    y = lax.conv_general_dilated(
        x,
        kernel,
        pair(stride),
        padding,
        rhs_dilation=pair(dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )
    return y if bias is None else y + bias.reshape(1, 1, 1, -1)


def normal(seed, *shape, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def close(actual, expected, tolerance=2e-5):
    """Trees equal to `tolerance` of the largest element expected."""
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert a.shape == e.shape
        assert a.dtype == e.dtype
        scale = max(1.0, float(np.abs(np.asarray(e, np.float32)).max(initial=0)))
        np.testing.assert_allclose(
            np.asarray(a, np.float32), np.asarray(e, np.float32), rtol=0, atol=tolerance * scale
        )
