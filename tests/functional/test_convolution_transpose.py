"""The transposed convolution beyond the table: what is refused."""

import jax.numpy as jnp
import pytest

from dl_jax.functional import conv2d_transpose


def test_arguments_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"does not fit 3 input channels"):
        conv2d_transpose(jnp.zeros((1, 4, 4, 3)), jnp.zeros((3, 3, 4, 2)))
    with pytest.raises(ValueError, match=r"padding 5 leaves an output of \(-2, -2\) pixels"):
        conv2d_transpose(jnp.zeros((1, 6, 6, 3)), jnp.zeros((3, 3, 3, 2)), padding=5)
