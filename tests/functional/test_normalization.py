"""Normalization beyond the table: statistics of many steps, and which features survive."""

import jax
import numpy as np
import pytest

from dl_jax.functional import batch_norm, drop_norm, group_norm, layer_norm

KEY = jax.random.key(0)


def normal(seed, *shape):
    return (np.random.default_rng(seed).normal(size=shape) * 2 + 1).astype(np.float32)


def test_running_statistics_reach_those_of_the_data():
    x, ones = normal(0, 64, 3), np.ones(3, np.float32)
    statistics = {"mean": 0 * ones, "var": ones}
    train = jax.jit(lambda statistics: batch_norm(x, ones, 0 * ones, **statistics, train=True))
    for _ in range(100):
        y, statistics = train(statistics)
    np.testing.assert_allclose(statistics["mean"], x.mean(0), atol=1e-3)
    np.testing.assert_allclose(statistics["var"], x.var(0), rtol=1e-3)
    evaluated, unchanged = batch_norm(x, ones, 0 * ones, **statistics, train=False)
    np.testing.assert_allclose(evaluated, y, atol=1e-3)
    assert unchanged["mean"] is statistics["mean"]
    assert unchanged["var"] is statistics["var"]


def test_no_gradient_passes_through_the_running_statistics():
    x, ones = normal(0, 8, 3), np.ones(3, np.float32)

    def total(x):
        statistics = batch_norm(x, ones, ones, ones, ones, train=True)[1]
        return statistics["mean"].sum() + statistics["var"].sum()

    np.testing.assert_array_equal(jax.jit(jax.grad(total))(x), 0)


def test_channels_that_cannot_be_grouped():
    with pytest.raises(ValueError, match="4 channels cannot be split into 3 equal groups"):
        group_norm(normal(0, 2, 4), groups=3)


def test_drop_norm_in_evaluation_is_layer_norm():
    x, scale, bias = normal(0, 5, 8), normal(1, 8), normal(2, 8)
    evaluated = drop_norm(x, scale, bias, rate=0.5, train=False)
    np.testing.assert_array_equal(evaluated, layer_norm(x, scale, bias))


def test_features_survive_with_the_rate_and_drop_norm_needs_a_key():
    x, ones = normal(0, 50, 40), np.ones(40, np.float32)
    run = jax.jit(lambda x: drop_norm(x, ones, 0 * ones, rate=0.4, train=True, key=KEY))
    assert abs((np.asarray(run(x)) != 0).mean() - 0.6) < 0.05
    with pytest.raises(ValueError, match="needs a random key"):
        drop_norm(x, ones, ones, rate=0.5, train=True)
