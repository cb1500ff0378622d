"""Dropout."""

import jax

from dl_jax.backprop.op import Op
from dl_jax.errors import check_range
from dl_jax.types import Array, PRNGKey


def dropout(rate: float) -> Op:
    """`y = m x / (1 - rate)` with a random mask m, operands `(x, key)`; `dx = m g / (1 - rate)`."""
    check_range("dropout rate", rate, low=0, high=1, exclusive_high=True)

    def forward(x: Array, key: PRNGKey) -> tuple[Array, Array]:
        factor = jax.random.bernoulli(key, 1 - rate, x.shape).astype(x.dtype) / (1 - rate)
        return factor * x, factor

    def backward(factor: Array, g: Array) -> tuple[Array, None]:
        return factor * g, None

    return Op(forward, backward)
