"""How fast a function of images or points may change: penalized, or bounded layer by layer."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float, Shaped

from dl_jax.errors import UsageError
from dl_jax.functional.precision import at_least_float32
from dl_jax.types import Array, Scalar

TINY = 1e-12


def gradient_penalty(
    score: Callable[..., jax.Array],
    real: Float[Array, "batch ..."],
    fake: Float[Array, "batch ..."],
    share: Float[Array, " batch"],
    *told: Shaped[Array, "batch ..."],
    norm: Scalar = 1.0,
    one_sided: bool = False,
) -> Float[jax.Array, " batch"]:
    """`(|grad score(x)| - norm)^2` for each example, between a real and a fake one.

    `x = share real + (1 - share) fake`. The critic that attains the Wasserstein distance has slope
    one along such lines.

    One backward pass of the summed scores gives each example its gradient. `vmap(grad(score))`
    gives the same, but its derivative computes the gradient of a kernel once for each example.

    Args:
        score: one number of each example, `score(x, *told) -> [batch]`, that depends on it alone:
            no batch normalization.
        real: examples of the data.
        fake: as many of the generator, of the same shape.
        share: of the real example in each point between, uniform in [0, 1].
        told: further arguments of the score, such as labels.
        norm: that gradients are drawn to.
        one_sided: penalize larger norms alone: `max(0, |grad| - norm)^2`.

    Raises:
        UsageError: the two shapes differ, or scores are not one number each.

    Source: Gulrajani et al. (2017), arXiv:1704.00028, algorithm 1, line 7; section 4 for both
    sides.
    """
    real, fake = jnp.asarray(real), jnp.asarray(fake)
    if real.shape != fake.shape:
        raise UsageError(
            f"real examples have shape {real.shape} and fake ones {fake.shape}, expected the same"
        )
    share = jnp.asarray(share, real.dtype).reshape(-1, *[1] * (real.ndim - 1))
    scores, pull_back = jax.vjp(lambda x: score(x, *told), share * real + (1 - share) * fake)
    if scores.shape != real.shape[:1]:
        raise UsageError(
            f"scores of {len(real)} examples have shape {scores.shape}, expected ({len(real)},)"
        )
    (gradients,) = pull_back(jnp.ones_like(scores))
    squares = (at_least_float32(gradients).reshape(real.shape[0], -1) ** 2).sum(-1)
    excess = jnp.sqrt(squares + TINY) - norm  # the root of 0 has no derivative
    return jnp.maximum(excess, 0) ** 2 if one_sided else excess**2


def spectral_norm(
    kernel: Float[Array, "... out"], vector: Float[Array, " out"]
) -> tuple[Float[jax.Array, ""], Float[jax.Array, " out"]]:
    """The largest singular value of a kernel, about, and a vector that is nearer to its own.

    One step of the power iteration: `u = normalize(W v)`, `v' = normalize(W^T u)`, and the value is
    `u^T W v'`. Here `W` is the kernel as a matrix, `[inputs, out]`, `v` is `vector`. Repeated while
    a network learns, the value follows the largest one closely. Its gradient takes both vectors for
    constants, as that of the largest singular value does.

    Args:
        kernel: of a dense layer or a convolution; all axes but the last are inputs.
        vector: what the step before returned; at first a random one.

    Source: Miyato et al. (2018), arXiv:1802.05957, section 2.1 and algorithm 1.
    """
    kernel, vector = at_least_float32(kernel), at_least_float32(vector)
    matrix = kernel.reshape(-1, kernel.shape[-1])
    fixed = lax.stop_gradient(matrix)
    left = _unit(fixed @ vector)
    right = lax.stop_gradient(_unit(left @ fixed))
    return lax.stop_gradient(left) @ matrix @ right, right


def _unit(vector: jax.Array) -> jax.Array:
    return vector / jnp.maximum(jnp.linalg.norm(vector), TINY)
