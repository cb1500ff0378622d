"""Optimizers as numbers, against the optimizers themselves, alone and mapped over."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl_jax import optim
from dl_jax.errors import UsageError
from experiments.basics.optimizers_and_initializers import (
    UpdateCoefficients,
    general_optimizer,
    update_coefficients,
)

OPTIMIZERS = {
    "sgd": optim.sgd(0.02),
    "momentum": optim.momentum(0.02),
    "nesterov": optim.nesterov(0.02),
    "rmsprop": optim.rmsprop(0.02),
    "adam": optim.adam(0.02),
    "adamw": optim.adamw(0.02, weight_decay=0.1),
}
START = {"kernel": jnp.array([[1.0, -2.0], [0.5, 3.0]]), "bias": jnp.array([0.1, 0.0])}


def gradient(params):
    return jax.grad(lambda p: (p["kernel"] ** 4).sum() / 4 + 2 * (p["bias"] ** 2).sum())(params)


def descended(optimizer, steps=100):
    def step(carry, _):
        params, state = carry
        updates, state = optimizer.update(gradient(params), state, params)
        return (optax.apply_updates(params, updates), state), None

    return jax.lax.scan(step, (START, optimizer.init(START)), length=steps)[0][0]


def numbers(name):
    return update_coefficients(name, 0.02, 0.1 if name == "adamw" else 0.0)


def close(actual, expected):
    jax.tree.map(
        lambda a, e: np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-6), actual, expected
    )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_numbers_make_the_optimizer(name):
    close(descended(general_optimizer(numbers(name))), descended(OPTIMIZERS[name]))


def test_which_optimizer_it_is_can_be_mapped_over():
    rows = [numbers(name) for name in OPTIMIZERS]
    columns = UpdateCoefficients(*(jnp.array(column) for column in zip(*rows, strict=True)))
    ends = jax.vmap(lambda row: descended(general_optimizer(row)))(columns)
    for i, optimizer in enumerate(OPTIMIZERS.values()):
        close(jax.tree.map(lambda leaf, i=i: leaf[i], ends), descended(optimizer))


def test_an_unknown_name():
    with pytest.raises(UsageError, match="did you mean 'adam'"):
        update_coefficients("adan", 0.1)
