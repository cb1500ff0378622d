"""Random initial values of kernels: `initializer(key, shape) -> array`."""

from collections.abc import Callable, Sequence
from math import prod
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from dl_jax.types import PRNGKey

Initializer: TypeAlias = Callable[[PRNGKey, Sequence[int]], Float[Array, "..."]]


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """Inputs that feed one output and outputs that one input feeds, `(fan_in, fan_out)`.

    A dense kernel is `[in, out]`, a convolution's `[height, width, in, out]`: its receptive field
    multiplies both.

    >>> fans((3, 3, 16, 32))
    (144, 288)
    """
    if len(shape) < 2:
        raise ValueError(f"fans need a kernel of two axes or more, got shape {tuple(shape)}")
    receptive_field = prod(shape[:-2])
    return receptive_field * shape[-2], receptive_field * shape[-1]


def xavier_uniform(key: PRNGKey, shape: Sequence[int]) -> Float[Array, "..."]:
    """Uniform in `±sqrt(6 / (fan_in + fan_out))`.

    Source: Glorot and Bengio (2010), "Understanding the difficulty of training deep feedforward
    neural networks", equation 16.
    """
    bound = (6 / sum(fans(shape))) ** 0.5
    return jax.random.uniform(key, shape, minval=-bound, maxval=bound)


def xavier_normal(key: PRNGKey, shape: Sequence[int]) -> Float[Array, "..."]:
    """Normal with variance `2 / (fan_in + fan_out)`.

    Source: Glorot and Bengio (2010), "Understanding the difficulty of training deep feedforward
    neural networks", equation 12.
    """
    return jax.random.normal(key, shape) * (2 / sum(fans(shape))) ** 0.5


def he_uniform(key: PRNGKey, shape: Sequence[int]) -> Float[Array, "..."]:
    """Uniform in `±sqrt(6 / fan_in)`: the variance of `he_normal`.

    Source: He et al. (2015), arXiv:1502.01852, equation 10.
    """
    bound = (6 / fans(shape)[0]) ** 0.5
    return jax.random.uniform(key, shape, minval=-bound, maxval=bound)


def he_normal(key: PRNGKey, shape: Sequence[int]) -> Float[Array, "..."]:
    """Normal with variance `2 / fan_in`, which keeps the variance through ReLU layers.

    Source: He et al. (2015), arXiv:1502.01852, equation 10.
    """
    return jax.random.normal(key, shape) * (2 / fans(shape)[0]) ** 0.5


def lecun_normal(key: PRNGKey, shape: Sequence[int]) -> Float[Array, "..."]:
    """Normal with variance `1 / fan_in`.

    Source: LeCun et al. (1998), "Efficient BackProp", section 4.6.
    """
    return jax.random.normal(key, shape) * (1 / fans(shape)[0]) ** 0.5


def orthogonal(key: PRNGKey, shape: Sequence[int]) -> Float[Array, "..."]:
    """A random matrix with orthonormal columns, or rows where they are fewer.

    A kernel of more than two axes is the matrix of its last axis against all others. Of the
    decomposition `A = QR` of a normal matrix, `Q` times the signs of `R`'s diagonal is uniform
    over all such matrices.

    Source: Saxe et al. (2013), arXiv:1312.6120, section 3; Mezzadri (2006), arXiv:math-ph/0609050.
    """
    fans(shape)  # the error for shapes without two axes
    rows, columns = prod(shape[:-1]), shape[-1]
    normal = jax.random.normal(key, (max(rows, columns), min(rows, columns)))
    q, r = jnp.linalg.qr(normal)
    q = q * jnp.sign(jnp.diagonal(r))[None, :]
    return (q if rows >= columns else q.T).reshape(shape)


def zeros(key: PRNGKey, shape: Sequence[int]) -> Float[Array, "..."]:
    """All zeros, the usual start of a bias; the key is not used."""
    del key
    return jnp.zeros(shape)
