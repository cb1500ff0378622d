"""Samples from categorical distributions."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, Int

from dl_jax.concrete import is_concrete
from dl_jax.types import Array, Count, PRNGKey


def multinomial(
    key: PRNGKey,
    probabilities: Float[Array, "*batch classes"],
    num_samples: Count,
    *,
    replacement: bool,
) -> Int[jax.Array, "*batch {num_samples}"]:
    """Class indices drawn with the given probabilities.

    With Gumbel noise `g`, the largest of `log p + g` is a draw from `p` (the Gumbel-max trick), and
    the k largest are k draws without replacement. A class of probability 0 is not drawn.

    Args:
        key: consumed here.
        probabilities: finite, non-negative and not all 0; they need not add up to 1.
        num_samples: draws from each distribution.
        replacement: whether a class can be drawn again.

    Raises:
        ValueError: concrete probabilities are not as said, or, without replacement, fewer classes
            than draws have a positive probability.

    Source: Gumbel (1954); Kool et al. (2019), arXiv:1903.06059, section 2.3, for the k largest.
    """
    (*batch, classes), num_samples = probabilities.shape, int(num_samples)
    if num_samples < 1:
        raise ValueError(f"num_samples is {num_samples}, expected at least 1")
    if not replacement and num_samples > classes:
        raise ValueError(
            f"{num_samples} draws without replacement need as many classes, there are {classes}"
        )
    if is_concrete(probabilities):
        _check_probabilities(np.asarray(probabilities), 1 if replacement else num_samples)
    logits = jnp.log(jnp.asarray(probabilities).astype(jnp.float32))
    if replacement:
        noise = jax.random.gumbel(key, (*batch, num_samples, classes))
        return (logits[..., None, :] + noise).argmax(-1).astype(jnp.int32)
    noise = jax.random.gumbel(key, (*batch, classes))
    return lax.top_k(logits + noise, num_samples)[1]


def _check_probabilities(probabilities: np.ndarray, needed: int) -> None:
    if not np.isfinite(probabilities).all() or (probabilities < 0).any():
        raise ValueError("probabilities must be finite and non-negative")
    positive = int((probabilities > 0).sum(-1).min(initial=needed))
    if positive < needed:
        raise ValueError(
            f"a distribution has {positive} classes of positive probability, expected at least "
            f"{needed}"
        )
