"""The fully connected layer, whole and split."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from dl_jax.functional.broadcasting import expand_as


def dense(
    x: Float[Array, "... features_in"],
    kernel: Float[Array, "features_in features_out"],
    bias: Float[Array, " features_out"] | None = None,
) -> Float[Array, "... features_out"]:
    """Affine map of the last axis, `x @ kernel + bias`.

    The product is accumulated in float32 and returned in the type of `x`: with 16-bit inputs that
    is both exact where it matters and, on CPUs with matrix units, several times faster.

    Source: Rosenblatt (1958), "The perceptron"; Rumelhart et al. (1986), equation 1.

    >>> dense(jnp.ones((2, 3)), jnp.ones((3, 1)), jnp.ones(1)).tolist()
    [[4.0], [4.0]]
    """
    accumulate = jnp.promote_types(x.dtype, jnp.float32)
    y = jnp.matmul(x, kernel, preferred_element_type=accumulate).astype(x.dtype)
    return y if bias is None else y + expand_as(bias, y).astype(y.dtype)


def split_linear(
    x: Float[Array, "... features_in"],
    kernel: Float[Array, "part_in part_out"],
    bias: Float[Array, " part_out"] | None = None,
) -> Float[Array, "... features_out"]:
    """One dense layer shared by equal parts of the features, `concat(x_1 W + b, ..., x_n W + b)`.

    The features are cut into `features_in / part_in` parts; `features_out` is that many times
    `part_out`. Against a dense layer of the same sizes, both parameters and operations shrink: by
    the square of the number of parts, and by the number.

    Raises:
        ValueError: the features cannot be cut into parts of the kernel's input size.

    Source: the layer is the course's; it is a 1x1 convolution over the parts (Lin et al., 2013,
    arXiv:1312.4400).

    >>> split_linear(jnp.array([[1.0, 2.0, 3.0, 4.0]]), jnp.array([[1.0], [10.0]])).tolist()
    [[21.0, 43.0]]
    """
    features, part = x.shape[-1], kernel.shape[0]
    if features % part:
        raise ValueError(
            f"{features} features cannot be cut into parts of {part}, the input size of the kernel "
            f"of shape {kernel.shape}"
        )
    parts = x.reshape(*x.shape[:-1], features // part, part)
    return dense(parts, kernel, bias).reshape(*x.shape[:-1], -1)
