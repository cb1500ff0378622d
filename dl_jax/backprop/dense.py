"""Dense and flatten."""

import jax.numpy as jnp
from jaxtyping import Float

from dl_jax.backprop.op import Op
from dl_jax.types import Array


def dense() -> Op:
    """`y = x W + b`.

    dx = g W^T        dW = x^T g        db = sum of g over the batch
    """

    def forward(
        x: Float[Array, "... features_in"],
        kernel: Float[Array, "features_in features_out"],
        bias: Float[Array, " features_out"],
    ) -> tuple[Array, tuple[Array, Array]]:
        y = x @ kernel
        return y + jnp.broadcast_to(bias, y.shape), (x, kernel)

    def backward(
        residuals: tuple[Array, Array], g: Float[Array, "... features_out"]
    ) -> tuple[Array, Array, Array]:
        x, kernel = residuals
        rows, cotangents = x.reshape(-1, x.shape[-1]), g.reshape(-1, g.shape[-1])
        return g @ kernel.T, rows.T @ cotangents, cotangents.sum(0)

    return Op(forward, backward, ("kernel", "bias"))


def flatten() -> Op:
    """All axes but the first reshaped into one; backward, reshaped to the original axes."""

    def forward(x: Float[Array, "batch ..."]) -> tuple[Array, Array]:
        return x.reshape(x.shape[0], -1), jnp.zeros((0, *x.shape[1:]), x.dtype)

    def backward(example: Array, g: Float[Array, "batch features"]) -> tuple[Array]:
        return (g.reshape(-1, *example.shape[1:]),)

    return Op(forward, backward)
