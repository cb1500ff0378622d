"""Sums over rows in two steps: the same numbers, and every kind of derivative."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.functional import batch_norm, channels, dense
from dl_jax.functional.channels import spread_channels, sum_to_channels

SHAPES = [(8, 3), (6, 4, 5), (2, 4, 4, 3), (7, 5), (1, 3), (64, 300), (0, 3), (5,), (512, 1)]


@pytest.fixture(autouse=True)
def _two_steps_for_any_size(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(channels, "FEWEST", 0)
    monkeypatch.setattr(channels, "MOST_SIDE_BY_SIDE", 64)


def normal(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_sum_is_that_of_numpy(shape):
    x = normal(shape)
    expected = x.astype(np.float64).sum(tuple(range(x.ndim - 1)))
    np.testing.assert_allclose(jax.jit(sum_to_channels)(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_spreading_is_broadcasting_and_its_transpose_the_sum(shape):
    x, vector = normal(shape), normal(shape[-1:], 1)
    np.testing.assert_array_equal(spread_channels(vector, x), np.broadcast_to(vector, shape))
    (gradient,) = jax.vjp(lambda v: spread_channels(v, x), vector)[1](jnp.asarray(x))
    np.testing.assert_allclose(gradient, sum_to_channels(x), rtol=1e-5, atol=1e-5)


def test_it_happens_in_two_steps():
    text = str(jax.make_jaxpr(sum_to_channels)(jnp.ones((8, 3))))
    assert text.count("reduce_sum") == 2
    assert "optimization_barrier" in text


def test_dense_keeps_forward_mode_second_derivatives_and_vmap():
    x, kernel, bias = normal((16, 4)), normal((4, 3), 1), normal((3,), 2)

    def loss(bias):
        return (dense(x, kernel, bias) ** 3).mean()

    def plain(bias):
        return ((x @ kernel + bias[None]) ** 3).mean()

    for transform in (jax.grad, jax.jacfwd, jax.hessian):
        np.testing.assert_allclose(transform(loss)(bias), transform(plain)(bias), rtol=1e-4)
    several = jnp.stack([bias, 2 * bias])
    np.testing.assert_allclose(jax.vmap(loss)(several), jax.vmap(plain)(several), rtol=1e-5)


@pytest.mark.parametrize("shape", [(16, 6), (4, 8, 8, 6), (7, 5, 3, 6)])
def test_batch_norm_has_torchs_gradients_and_second_derivatives(shape):
    torch = pytest.importorskip("torch")
    x, scale, bias, g = (normal(s, i) for i, s in enumerate((shape, (6,), (6,), shape)))
    x = 3 * x + 5

    def ours(x, scale, bias):
        zeros, ones = jnp.zeros(6), jnp.ones(6)
        return (batch_norm(x, scale, bias, zeros, ones, train=True)[0] * g).sum()

    def penalty(x, scale, bias):
        return (jax.grad(ours)(x, scale, bias) ** 2).sum()

    leaves = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in (x, scale, bias)]
    moved = leaves[0].movedim(-1, 1)
    y = torch.nn.functional.batch_norm(moved, None, None, *leaves[1:], training=True)
    value = (y.movedim(1, -1) * torch.tensor(g, dtype=torch.float64)).sum()
    first = torch.autograd.grad(value, leaves, create_graph=True)
    for a, b in zip(jax.grad(ours, (0, 1, 2))(x, scale, bias), first, strict=True):
        np.testing.assert_allclose(a, b.detach(), rtol=2e-3, atol=2e-4)
    second = torch.autograd.grad((first[0] ** 2).sum(), leaves[:2])
    for a, b in zip(jax.grad(penalty, (0, 1))(x, scale, bias), second, strict=True):
        np.testing.assert_allclose(a, b, rtol=5e-3, atol=5e-4)


def test_batch_norm_is_differentiable_by_epsilon():
    x, scale, bias = normal((16, 6)), normal((6,), 1), normal((6,), 2)

    def ours(epsilon):
        y, _ = batch_norm(
            x, scale, bias, jnp.zeros(6), jnp.ones(6), train=True, epsilon=epsilon
        )  # fmt: skip
        return (y**2).sum()

    step = 1e-2
    numeric = (ours(jnp.float32(0.5 + step)) - ours(jnp.float32(0.5 - step))) / (2 * step)
    np.testing.assert_allclose(jax.grad(ours)(jnp.float32(0.5)), numeric, rtol=1e-3)
