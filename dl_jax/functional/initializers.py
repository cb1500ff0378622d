"""Random initial values of kernels: `initializer(key, shape) -> array`."""

from collections.abc import Callable, Sequence
from math import prod
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Float

from dl_jax.types import PRNGKey

Initializer: TypeAlias = Callable[[PRNGKey, Sequence[int]], Float[jax.Array, "..."]]


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """Number of inputs of one output and of outputs of one input, `(fan_in, fan_out)`.

    A dense kernel is `[in, out]`, a convolution's `[height, width, in, out]`: its receptive field
    multiplies both.

    >>> fans((3, 3, 16, 32))
    (144, 288)

    Raises:
        ValueError: the shape has fewer than two axes, or an axis of length 0.
    """
    shape = tuple(int(length) for length in shape)
    if len(shape) < 2 or 0 in shape:
        raise ValueError(f"a kernel needs two axes or more, none of length 0, got shape {shape}")
    receptive_field = prod(shape[:-2])
    return receptive_field * shape[-2], receptive_field * shape[-1]


def xavier_uniform(key: PRNGKey, shape: Sequence[int]) -> Float[jax.Array, "..."]:
    """Uniform in `±sqrt(6 / (fan_in + fan_out))`.

    Source: Glorot and Bengio (2010), "Understanding the difficulty of training deep feedforward
    neural networks", equation 16.
    """
    bound = (6 / sum(fans(shape))) ** 0.5
    return jax.random.uniform(key, shape, minval=-bound, maxval=bound)


def xavier_normal(key: PRNGKey, shape: Sequence[int]) -> Float[jax.Array, "..."]:
    """Normal with variance `2 / (fan_in + fan_out)`.

    Source: Glorot and Bengio (2010), "Understanding the difficulty of training deep feedforward
    neural networks", equation 12.
    """
    return jax.random.normal(key, shape) * (2 / sum(fans(shape))) ** 0.5


def he_uniform(key: PRNGKey, shape: Sequence[int]) -> Float[jax.Array, "..."]:
    """Uniform in `±sqrt(6 / fan_in)`: the variance of `he_normal`.

    Source: He et al. (2015), arXiv:1502.01852, equation 10.
    """
    bound = (6 / fans(shape)[0]) ** 0.5
    return jax.random.uniform(key, shape, minval=-bound, maxval=bound)


def he_normal(key: PRNGKey, shape: Sequence[int]) -> Float[jax.Array, "..."]:
    """Normal with variance `2 / fan_in`, which keeps the variance through ReLU layers.

    Source: He et al. (2015), arXiv:1502.01852, equation 10.
    """
    return jax.random.normal(key, shape) * (2 / fans(shape)[0]) ** 0.5


def lecun_normal(key: PRNGKey, shape: Sequence[int]) -> Float[jax.Array, "..."]:
    """Normal with variance `1 / fan_in`.

    Source: LeCun et al. (1998), "Efficient BackProp", section 4.6.
    """
    return jax.random.normal(key, shape) * (1 / fans(shape)[0]) ** 0.5


def orthogonal(key: PRNGKey, shape: Sequence[int]) -> Float[jax.Array, "..."]:
    """A random matrix with orthonormal columns, or rows where they are fewer.

    A kernel of more than two axes is a matrix `[all others, last axis]`. The columns of a normal
    matrix are made orthonormal one after the other (Gram-Schmidt, with each projection done twice
    against rounding errors), so the result is uniform over all such matrices.

    Source: Saxe et al. (2013), arXiv:1312.6120, section 3; Giraud et al. (2005), "The loss of
    orthogonality in the Gram-Schmidt orthogonalization process", for the second projection.
    """
    fans(shape)  # raises where the shape is no kernel's
    rows, columns = prod(shape[:-1]), shape[-1]
    normal = jax.random.normal(key, (max(rows, columns), min(rows, columns)))

    # Not `jnp.linalg.qr`: under `vmap`, several calls of it on the CPU can deadlock (jax 0.10.2 on
    # two cores).
    def add_column(j: jax.Array, q: jax.Array) -> jax.Array:
        a = normal[:, j]
        for _ in range(2):
            a = a - q @ (q.T @ a)
        return q.at[:, j].set(a / jnp.linalg.norm(a))

    q = jax.lax.fori_loop(0, normal.shape[1], add_column, jnp.zeros_like(normal))
    return (q if rows >= columns else q.T).reshape(shape)


def zeros(key: PRNGKey, shape: Sequence[int]) -> Float[jax.Array, "..."]:
    """All zeros, the usual initial bias; the key is not used."""
    del key
    return jnp.zeros(shape)


def dirac(
    rest: Initializer,
) -> Initializer:
    """Kernels of a convolution whose first outputs are its inputs, and the others drawn by `rest`.

    Output `o` of the first `in_channels` starts as the identity of channel `o`, a one in the middle
    of the window, so that a deep network passes its input on.

    Source: Zagoruyko and Komodakis (2017), arXiv:1706.00388, section 3.1.
    """

    def initializer(key: PRNGKey, shape: Sequence[int]) -> Float[jax.Array, "..."]:
        height, width, inputs, outputs = shape
        kept = jnp.arange(min(inputs, outputs))
        kernel = rest(key, shape).at[..., kept].set(0)
        return kernel.at[height // 2, width // 2, kept, kept].set(1)

    return initializer
