"""Layers as models: their initial values, and what they refuse."""

import re
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.errors import UsageError
from dl_jax.functional import conv2d, he_normal, lecun_normal, zeros
from dl_jax.models import cnn, conv, deconv, drop, flatten, from_function, linear, mlp, norm
from dl_jax.paths import path_names

KEY = jax.random.key(7)


MLP = mlp((10, 10, 1), (90, 80), 70)
CNN = cnn((4, 4, 20), [(30,)], 40, widths=(50,))
KERNELS = [  # a layer, the path of a kernel, and its variance
    (conv(20, 30), "kernel", 2 / (9 * 20)),
    (conv(20, 30, (1, 5)), "kernel", 2 / (5 * 20)),
    (deconv(20, 30), "kernel", 4 * 2 / (16 * 20)),
    (linear(100, 90), "kernel", 1 / 100),
    (linear(100, 90, kernel_init=he_normal), "kernel", 2 / 100),
    (MLP, "dense1/kernel", 2 / 100),
    (MLP, "head/kernel", 1 / 80),
    (CNN, "conv1_1/kernel", 2 / (9 * 20)),
    (CNN, "dense1/kernel", 2 / (4 * 30)),
    (CNN, "head/kernel", 1 / 50),
    (mlp((100,), (90,), 3, kernel_init=lecun_normal), "dense1/kernel", 1 / 100),
    (cnn((4, 4, 20), [(30,)], 3, kernel_init=lecun_normal), "conv1_1/kernel", 1 / 180),
]


@cache
def initial_kernels():
    """All of them from one program."""

    def kernel(layer, path):
        params, _ = layer.init(KEY)
        return dict(zip(path_names(params), jax.tree.leaves(params), strict=True))[path]

    return jax.jit(lambda: [kernel(layer, path) for layer, path, _ in KERNELS])()


@pytest.mark.parametrize("index", range(len(KERNELS)))
def test_initial_kernels_are_normal_of_their_variance(index):
    kernel, variance = np.asarray(initial_kernels()[index]), KERNELS[index][-1]
    assert abs(kernel.mean()) < 4 * (variance / kernel.size) ** 0.5
    np.testing.assert_allclose(kernel.var(), variance, rtol=0.15)


@pytest.mark.parametrize("make", [conv, deconv, linear])
def test_a_bias_starts_at_zero_or_is_left_out(make):
    params, state = make(3, 4).init(KEY)
    assert (sorted(params), state) == (["bias", "kernel"], {})
    np.testing.assert_array_equal(params["bias"], np.zeros(4))
    assert list(make(3, 4, bias=False).init(KEY)[0]) == ["kernel"]


def test_a_convolution_passes_on_its_stride_and_padding():
    every = ({}, {"stride": 2}, {"stride": (1, 3), "padding": 2}, {"padding": "VALID"})
    images = np.random.default_rng(0).normal(size=(2, 7, 6, 3)).astype(np.float32)
    layers = [conv(3, 4, (3, 2), **options) for options in every]

    @jax.jit
    def outputs():
        params, _ = layers[0].init(KEY)
        ours = [layer.apply(params, {}, images, train=False)[0] for layer in layers]
        return ours, [conv2d(images, **params, **options) for options in every]

    for actual, expected in zip(*outputs(), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_batch_normalization_starts_as_the_identity_of_normalized_inputs():
    params, state = norm(3).init(KEY)
    one, zero = np.ones(3), np.zeros(3)
    assert (sorted(params), sorted(state)) == (["bias", "scale"], ["mean", "var"])
    for value, expected in ((params["scale"], one), (params["bias"], zero), (state["mean"], zero),
                            (state["var"], one)):  # fmt: skip
        np.testing.assert_array_equal(value, expected)
    np.testing.assert_array_equal(norm(3, scale_init=zeros).init(KEY)[0]["scale"], zero)


def test_a_rate_of_zero_draws_nothing():
    ones = jnp.ones((4, 4))
    output, state = drop(0.0).apply({}, {}, ones, train=True)  # without a key
    np.testing.assert_array_equal(output, ones)
    assert state == {}


def test_a_rate_may_be_traced():
    ones = jnp.ones((8, 8))

    def dropped(rate):
        return drop(rate).apply({}, {}, ones, train=True, key=KEY)[0]

    swept = jax.vmap(dropped)(jnp.array([0.0, 0.5]))
    np.testing.assert_array_equal(swept[0], ones)
    np.testing.assert_array_equal(swept[1], dropped(0.5))
    assert set(np.unique(swept[1])) == {0, 2}
    np.testing.assert_array_equal(drop(0.5).apply({}, {}, ones, train=False, key=KEY)[0], ones)


def test_flatten_keeps_the_batch():
    x = np.arange(24).reshape(2, 3, 4)
    np.testing.assert_array_equal(flatten(x.astype(np.float32)), x.reshape(2, 12))
    assert flatten(jnp.zeros((0, 3, 4))).shape == (0, 12)


def test_a_function_with_parameters_is_a_layer():
    layer = from_function(
        lambda x, scale: x * scale, lambda key: {"scale": jax.random.key_data(key)}
    )
    params, state = layer.init(KEY)
    assert state == {}
    np.testing.assert_array_equal(params["scale"], jax.random.key_data(KEY))
    output, state = layer.apply({"scale": 3.0}, {}, jnp.ones(2), train=True)
    assert (output.tolist(), state) == ([3, 3], {})


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: conv(0, 4), "conv sizes are in_channels=0, filters=4, expected sizes from 1"),
        (lambda: conv(3, 4.0), "conv sizes are in_channels=3, filters=4.0, expected sequences of"),
        (lambda: linear(3, -1), "linear sizes are in_features=3, units=-1, expected sizes from 1"),
        (lambda: norm(0), "norm sizes are features=0, expected sizes from 1"),
        (lambda: drop(1.0), "dropout_rate is 1.0, expected at least 0 and less than 1"),
        (lambda: drop(-0.5), "dropout_rate is -0.5, expected"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_sizes_and_rates_out_of_range_are_refused(make, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        make()


@pytest.mark.parametrize("kernel_size", [0, (3, 0), (3, 3, 3)])
def test_kernel_sizes_that_are_none_are_refused(kernel_size):
    with pytest.raises(ValueError, match="kernel_size is .* expected a positive integer or a pair"):
        conv(3, 4, kernel_size)
