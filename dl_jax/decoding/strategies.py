"""How the next token is chosen: `strategy(logits, key) -> tokens`, from `[batch, vocabulary]`."""

from collections.abc import Callable
from functools import cache
from typing import TypeAlias

import jax
import jax.numpy as jnp

from dl_jax.errors import check_range
from dl_jax.types import Array, PRNGKey

Strategy: TypeAlias = Callable[[Array, PRNGKey], jax.Array]


def greedy(logits: Array, key: PRNGKey) -> jax.Array:
    """The most likely token of each row; the key is not used."""
    del key
    return jnp.asarray(logits).argmax(-1).astype(jnp.int32)


@cache  # the same strategy is the same program
def sample(temperature: float = 1.0) -> Strategy:
    """Draw each token with its probability, made more even or more certain by a temperature.

    Probabilities are those of `softmax(logits / temperature)`: at 1 those of the network, near 0
    `greedy`.

    Args:
        temperature: greater than 0.

    Raises:
        UsageError: the temperature is out of range.

    Source: Ackley, Hinton and Sejnowski (1985), "A learning algorithm for Boltzmann machines", for
    the temperature.
    """
    check_range("temperature", temperature, low=0, exclusive_low=True)

    def strategy(logits: Array, key: PRNGKey) -> jax.Array:
        wide = jnp.asarray(logits).astype(jnp.float32)
        return jax.random.categorical(key, wide / temperature).astype(jnp.int32)

    return strategy
