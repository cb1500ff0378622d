"""Sums over rows in two steps: the same numbers, and every kind of derivative."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.functional import batch_norm, channels, dense
from dl_jax.functional.channels import spread_channels, sum_to_channels
from tests.functional.harness import Case, compare
from tests.functional.operations import OPERATIONS

SHAPES = [(8, 3), (6, 4, 5), (2, 4, 4, 3), (7, 5), (1, 3), (64, 300), (0, 3), (5,), (512, 1)]


@pytest.fixture(autouse=True)
def _two_steps_for_any_size(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(channels, "FEWEST", 0)
    monkeypatch.setattr(channels, "MOST_SIDE_BY_SIDE", 64)


def normal(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_a_sum_is_that_of_numpy():
    arrays = [normal(shape) for shape in SHAPES]
    for x, actual in zip(
        arrays, jax.jit(lambda a: [*map(sum_to_channels, a)])(arrays), strict=True
    ):
        expected = x.astype(np.float64).sum(tuple(range(x.ndim - 1)))
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


def test_spreading_is_broadcasting_and_its_transpose_the_sum():
    arrays = [(normal(shape), normal(shape[-1:], 1)) for shape in SHAPES]

    def spread(x, vector):
        y, pull = jax.vjp(lambda v: spread_channels(v, x), vector)
        return y, pull(x)[0]

    results = jax.jit(lambda arrays: [spread(*each) for each in arrays])(arrays)
    for (x, vector), (y, gradient) in zip(arrays, results, strict=True):
        np.testing.assert_array_equal(y, np.broadcast_to(vector, x.shape))
        expected = x.astype(np.float64).sum(tuple(range(x.ndim - 1)))
        np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-5)


def test_it_happens_in_two_steps():
    text = str(jax.make_jaxpr(sum_to_channels)(jnp.ones((8, 3))))
    assert text.count("reduce_sum") == 2
    assert "optimization_barrier" in text


@pytest.mark.parametrize("name", ["dense", "conv2d", "layer_norm", "group_norm", "batch_norm"])
def test_operations_in_two_steps_are_those_of_the_references(name):
    x, scale, bias = normal((4, 8, 8, 6)), normal((6,), 1), normal((6,), 2)
    kernel = {"dense": normal((6, 6), 3), "conv2d": normal((3, 2, 6, 6), 3)}.get(name, scale)
    options = {"groups": 2} if name == "group_norm" else {}
    compare(OPERATIONS[name], Case(x, kernel, bias, **options))


def test_dense_keeps_forward_mode_and_second_derivatives():
    x, kernel, bias = normal((16, 4)), normal((4, 3), 1), normal((3,), 2)

    def derivatives(layer):
        def loss(bias):
            return (layer(bias) ** 3).mean()

        return jax.jit(lambda bias: (jax.jacfwd(loss)(bias), jax.hessian(loss)(bias)))(bias)

    actual = derivatives(lambda bias: dense(x, kernel, bias))
    expected = derivatives(lambda bias: x @ kernel + bias[None])
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 8, 6), (7, 5, 3, 6)])
def test_batch_norm_has_the_second_derivatives_of_torch(shape):
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
    second = torch.autograd.grad((first[0] ** 2).sum(), leaves[:2])
    actual = jax.jit(jax.grad(penalty, (0, 1)))(x, scale, bias)
    for a, b in zip(actual, second, strict=True):
        np.testing.assert_allclose(a, b, rtol=5e-3, atol=5e-4)


def test_batch_norm_is_differentiable_by_epsilon():
    x, scale, bias = normal((16, 6)), normal((6,), 1), normal((6,), 2)

    def ours(epsilon):
        y, _ = batch_norm(x, scale, bias, 0 * bias, 0 * bias, train=True, epsilon=epsilon)
        return (y**2).sum()

    def reference(epsilon):
        operands = (a.astype(float) for a in (x, scale, bias))
        return (OPERATIONS["batch_norm"].reference(*operands, epsilon=epsilon) ** 2).sum()

    slope = (reference(0.5 + 1e-6) - reference(0.5 - 1e-6)) / 2e-6
    np.testing.assert_allclose(jax.jit(jax.grad(ours))(jnp.float32(0.5)), slope, rtol=1e-4)
