"""Normalization, against torch's and Flax's, forward and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen

from dl_jax.functional import batch_norm, drop_norm, group_norm, layer_norm, rms_norm

SHAPES = [(6, 4), (3, 5, 4, 8), (2, 7, 8)]


def normal(seed, *shape, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape) * 2 + 1, dtype)


def value_and_gradients(function, *operands):
    y, pull = jax.vjp(function, *operands)
    return y, pull(jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))


def close(actual, expected, tolerance=2e-5):
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert (a.shape, a.dtype) == (e.shape, e.dtype)
        np.testing.assert_allclose(a, e, rtol=tolerance, atol=tolerance)


def against_flax(ours, layer, x, names=("scale", "bias")):
    params = {name: normal(i, x.shape[-1]) for i, name in enumerate(names)}

    def theirs(x, params):
        with jax.numpy_rank_promotion("allow"):
            return layer.apply({"params": params}, x)

    close(
        value_and_gradients(lambda x, params: ours(x, **params), x, params),
        value_and_gradients(theirs, x, params),
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_layer_norm_is_that_of_flax(shape):
    against_flax(layer_norm, linen.LayerNorm(use_fast_variance=False), normal(0, *shape))


@pytest.mark.parametrize("shape", SHAPES)
def test_rms_norm_is_that_of_flax(shape):
    against_flax(rms_norm, linen.RMSNorm(), normal(0, *shape), ("scale",))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_group_norm_is_that_of_flax(shape, groups):
    layer = linen.GroupNorm(groups, use_fast_variance=False)
    against_flax(lambda *a, **k: group_norm(*a, groups=groups, **k), layer, normal(0, *shape))


def test_channels_that_cannot_be_grouped():
    with pytest.raises(ValueError, match="4 channels cannot be split into 3 equal groups"):
        group_norm(jnp.ones((2, 4)), groups=3)


@pytest.mark.parametrize("shape", [(6, 4), (3, 5, 4, 8)])
def test_batch_norm_is_that_of_flax(shape):
    """In training and evaluation, with the running statistics that training leaves."""
    x = normal(0, *shape)
    params = {"scale": normal(1, shape[-1]), "bias": normal(2, shape[-1])}
    state = {"mean": normal(3, shape[-1]), "var": jnp.abs(normal(4, shape[-1])) + 0.5}
    for train in (True, False):
        layer = linen.BatchNorm(not train, momentum=0.9, use_fast_variance=False)

        def theirs(x, params, layer=layer):
            with jax.numpy_rank_promotion("allow"):
                variables = {"params": params, "batch_stats": state}
                return layer.apply(variables, x, mutable=["batch_stats"])

        def ours(x, params, train=train):
            return batch_norm(x, **params, **state, train=train)

        close(
            value_and_gradients(lambda *a, f=ours: f(*a)[0], x, params),
            value_and_gradients(lambda *a, f=theirs: f(*a)[0], x, params),
        )
        close(ours(x, params)[1], theirs(x, params)[1]["batch_stats"])


@pytest.mark.parametrize("shape", [(6, 4), (3, 5, 4, 8)])
def test_batch_norm_is_that_of_torch(shape):
    torch = pytest.importorskip("torch")
    x, scale, bias = normal(0, *shape), normal(1, shape[-1]), normal(2, shape[-1])
    moved = np.moveaxis(np.asarray(x), -1, 1).copy()
    leaves = [torch.tensor(np.asarray(a), requires_grad=True) for a in (moved, scale, bias)]
    expected = torch.nn.functional.batch_norm(
        leaves[0], None, None, leaves[1], leaves[2], training=True, eps=1e-5
    )
    expected.sin().sum().backward()

    def ours(x, scale, bias):
        zero, one = jnp.zeros_like(scale), jnp.ones_like(scale)
        return batch_norm(x, scale, bias, zero, one, train=True)[0]

    close(ours(x, scale, bias), jnp.asarray(np.moveaxis(expected.detach().numpy(), 1, -1)))
    gradients = jax.grad(lambda *a: jnp.sin(ours(*a)).sum(), (0, 1, 2))(x, scale, bias)
    wanted = [leaf.grad.numpy() for leaf in leaves]
    close(gradients, (jnp.asarray(np.moveaxis(wanted[0], 1, -1)), *map(jnp.asarray, wanted[1:])))


def test_running_statistics_reach_those_of_the_data():
    x, ones = normal(0, 64, 3), jnp.ones(3)
    statistics = {"mean": jnp.zeros(3), "var": jnp.ones(3)}
    for _ in range(200):
        y, statistics = batch_norm(x, ones, 0 * ones, **statistics, train=True)
    close(statistics, {"mean": x.mean(0), "var": x.var(0)}, 1e-4)
    close(batch_norm(x, ones, 0 * ones, **statistics, train=False)[0], y, 1e-3)


@pytest.mark.parametrize("function", [layer_norm, rms_norm, lambda x: group_norm(x, groups=2)])
def test_statistics_are_computed_in_float32(function):
    x = normal(0, 3, 256, dtype=jnp.bfloat16)
    y = function(x)
    assert y.dtype == jnp.bfloat16
    close(y.astype(jnp.float32), function(x.astype(jnp.float32)), 1e-2)


def test_variance_is_accurate_where_the_mean_is_large():
    x = jnp.array([[10_000.0, 10_001.0, 10_002.0, 10_003.0]])
    close(layer_norm(x), layer_norm(x - 10_000), 1e-3)


# drop_norm.


def test_drop_norm_in_evaluation_is_layer_norm():
    x, scale, bias = normal(0, 5, 8), normal(1, 8), normal(2, 8)
    evaluated = drop_norm(x, scale, bias, rate=0.5, train=False)
    np.testing.assert_array_equal(evaluated, layer_norm(x, scale, bias))


@pytest.mark.parametrize("shape", [(50, 40), (4, 9, 40)])
def test_survivors_are_normalized_by_their_own_statistics(shape):
    x, ones = normal(0, *shape), jnp.ones(40)
    y = np.asarray(drop_norm(x, ones, 0 * ones, rate=0.4, train=True, key=jax.random.key(0)))
    for row, original in zip(y.reshape(-1, 40), np.asarray(x).reshape(-1, 40), strict=True):
        kept = row != 0
        alive = original[kept].astype(np.float64)
        np.testing.assert_allclose(row[kept], (alive - alive.mean()) / alive.std(), atol=1e-4)
    assert abs((y != 0).mean() - 0.6) < 0.05


def test_dropped_features_have_no_gradient_and_no_shift():
    x, scale, bias = normal(0, 6, 8), normal(1, 8), normal(2, 8)

    def total(x, scale, bias):
        y = drop_norm(x, scale, bias, rate=0.5, train=True, key=jax.random.key(1))
        return (jnp.cos(jnp.arange(48.0)).reshape(6, 8) * y).sum(), y

    gradients, y = jax.grad(total, (0, 1, 2), has_aux=True)(x, scale, bias)
    np.testing.assert_array_equal(gradients[0] == 0, y == 0)
    kept = np.asarray(y != 0)
    expected = (np.cos(np.arange(48.0)).reshape(6, 8) * kept).sum(0)
    np.testing.assert_allclose(gradients[2], expected, rtol=1e-5, atol=1e-6)


def test_drop_norm_without_survivors_has_finite_gradients():
    x, ones = normal(0, 100, 1), jnp.ones(1)

    def total(x):
        return drop_norm(x, ones, ones, rate=0.9, train=True, key=jax.random.key(0)).sum()

    assert jnp.isfinite(jax.grad(total)(x)).all()
    with pytest.raises(ValueError, match="needs a random key"):
        drop_norm(x, ones, ones, rate=0.5, train=True)


def test_gradients_of_drop_norm_are_those_of_layer_norm_of_the_survivors():
    x, scale, bias = normal(0, 1, 12), normal(1, 12), normal(2, 12)

    def dropped(x, scale, bias):
        return drop_norm(x, scale, bias, rate=0.4, train=True, key=jax.random.key(1))

    alive = np.flatnonzero(dropped(x, jnp.ones(12), jnp.zeros(12))[0])
    assert 2 < len(alive) < 12

    def survivors(x, scale, bias):
        return layer_norm(x[:, alive], scale[alive], bias[alive])

    actual, expected = (
        jax.grad(lambda *a, f=f: jnp.sin(f(*a)).sum(), (0, 1, 2))(x, scale, bias)
        for f in (dropped, survivors)
    )
    close(actual, expected)
