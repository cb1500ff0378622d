"""How the next token is chosen: `strategy(logits, key) -> tokens`, from `[batch, vocabulary]`."""

from collections.abc import Callable
from functools import cache
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax import lax

from dl_jax.errors import check_integer, check_range
from dl_jax.types import Array, PRNGKey

Strategy: TypeAlias = Callable[[Array, PRNGKey], jax.Array]


def greedy(logits: Array, key: PRNGKey) -> jax.Array:
    """The most likely token of each row; the key is not used."""
    del key
    return jnp.asarray(logits).argmax(-1).astype(jnp.int32)


@cache  # the same strategy is the same program
def sample(
    temperature: float = 1.0, *, top_k: int | None = None, top_p: float | None = None
) -> Strategy:
    """Draw each token with its probability, made more even or more certain by a temperature.

    Probabilities are those of `softmax(logits / temperature)`: at 1 those of the network, near 0
    `greedy`. With `top_k` and `top_p` unlikely tokens are left out, and the others keep their
    proportions.

    Args:
        temperature: greater than 0.
        top_k: draw from the so many most likely tokens alone (and what is as likely as the last).
        top_p: draw from the fewest tokens alone that together have this probability, in (0, 1]: the
            nucleus. With `top_k`, of the tokens that it leaves.

    Raises:
        UsageError: an argument is out of range.

    Source: Ackley, Hinton and Sejnowski (1985), "A learning algorithm for Boltzmann machines", for
    the temperature; Fan, Lewis and Dauphin (2018), arXiv:1805.04833, for `top_k`; Holtzman et al.
    (2019), arXiv:1904.09751, for `top_p`.
    """
    check_range("temperature", temperature, low=0, exclusive_low=True)
    if top_k is not None:
        check_integer("top_k", top_k, low=1)
    if top_p is not None:
        check_range("top_p", top_p, low=0, high=1, exclusive_low=True)

    def strategy(logits: Array, key: PRNGKey) -> jax.Array:
        wide = jnp.asarray(logits).astype(jnp.float32) / temperature
        if top_k is not None:
            wide = most_likely(wide, top_k)
        if top_p is not None:
            wide = nucleus(wide, top_p)
        return jax.random.categorical(key, wide).astype(jnp.int32)

    return strategy


def most_likely(logits: jax.Array, count: int) -> jax.Array:
    """`logits` with `-inf` wherever they are below the `count`-th largest of their row."""
    least = lax.top_k(logits, min(count, logits.shape[-1]))[0][..., -1:]
    return jnp.where(logits < least, -jnp.inf, logits)


def nucleus(logits: jax.Array, probability: float) -> jax.Array:
    """`logits` with `-inf` behind the first, by size, that together have this probability."""
    falling = -jnp.sort(-logits, axis=-1)
    shares = jax.nn.softmax(falling, axis=-1)
    needed = shares.cumsum(-1) - shares < probability  # before it, there was not enough
    least = jnp.where(needed, falling, jnp.inf).min(-1, keepdims=True)
    return jnp.where(logits < least, -jnp.inf, logits)
