"""Drawing from a discrete distribution."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from dl_jax.types import PRNGKey


def multinomial(
    key: PRNGKey,
    probabilities: Float[Array, "*batch classes"],
    num_samples: int,
    *,
    replacement: bool,
) -> Int[Array, "*batch {num_samples}"]:
    """Indices of classes, drawn with the given probabilities.

    With Gumbel noise `g`, the largest of `log p + g` is a draw from `p` (the Gumbel-max trick), and
    the k largest are k draws without replacement. A class of probability 0 is drawn by neither as
    long as there are enough others.

    Args:
        key: consumed here.
        probabilities: non-negative; they need not add up to 1.
        num_samples: draws from each distribution.
        replacement: whether a class can be drawn again.

    Raises:
        ValueError: there are fewer classes than draws without replacement.

    Source: Gumbel (1954); Kool et al. (2019), arXiv:1903.06059, section 2.3, for the k largest.
    """
    *batch, classes = probabilities.shape
    if num_samples < 1:
        raise ValueError(f"num_samples is {num_samples}, expected at least 1")
    if not replacement and num_samples > classes:
        raise ValueError(
            f"{num_samples} draws without replacement need as many classes, there are {classes}"
        )
    logits = jnp.log(probabilities.astype(jnp.float32))
    if replacement:
        noise = jax.random.gumbel(key, (*batch, num_samples, classes))
        return (logits[..., None, :] + noise).argmax(-1).astype(jnp.int32)
    noise = jax.random.gumbel(key, (*batch, classes))
    return lax.top_k(logits + noise, num_samples)[1]
