"""Each architecture: its parameters, where it drops, and what it rejects."""

import re
from functools import partial
from math import prod

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.errors import UsageError
from dl_jax.models import cnn, features, mlp
from dl_jax.paths import path_names


def shapes(model):
    params, _ = jax.eval_shape(model.init, jax.random.key(0))
    names = path_names(params)
    return dict(zip(names, [leaf.shape for leaf in jax.tree.leaves(params)], strict=True))


def test_sizes_of_the_multi_layer_perceptron():
    assert shapes(mlp((28, 28, 1), (5, 4), 10)) == {
        "dense1/kernel": (784, 5),
        "dense1/bias": (5,),
        "dense2/kernel": (5, 4),
        "dense2/bias": (4,),
        "head/kernel": (4, 10),
        "head/bias": (10,),
    }
    assert shapes(mlp((64,), (), 3)) == {"head/kernel": (64, 3), "head/bias": (3,)}


def test_sizes_of_the_convolutional_network():
    sizes = shapes(cnn((28, 28, 1), [(32, 32), (64, 64)], 10, widths=(256,)))
    assert {name: shape for name, shape in sizes.items() if name.endswith("kernel")} == {
        "conv1_1/kernel": (3, 3, 1, 32),
        "conv1_2/kernel": (3, 3, 32, 32),
        "conv2_1/kernel": (3, 3, 32, 64),
        "conv2_2/kernel": (3, 3, 64, 64),
        "dense1/kernel": (7 * 7 * 64, 256),
        "head/kernel": (256, 10),
    }
    convolutions = 320 + 9_248 + 18_496 + 36_928
    assert sum(map(prod, sizes.values())) == convolutions + 803_072 + 2_570


def test_dropout_acts_after_each_pool_and_each_hidden_layer():
    model = cnn((8, 8, 1), [(4,), (4,)], 3, widths=(30, 30), dropout_rate=0.5, activation=jnp.cos)
    before = ["pool1", "pool2", "activation1", "activation2"]
    after = ["pool_drop1", "pool_drop2", "drop1", "drop2"]
    run = jax.jit(partial(features(model, [*before, *after]).apply, train=True))
    params, _ = jax.jit(model.init)(jax.random.key(0))
    found, _ = run(params, {}, jnp.ones((2, 8, 8, 1)), key=jax.random.key(1))
    for kept, dropped in zip(before, after, strict=True):
        x, y = found[kept], found[dropped]
        np.testing.assert_allclose((np.asarray(y) == 0).mean(), 0.5, atol=0.3)
        np.testing.assert_allclose(y, np.where(np.asarray(y) == 0, 0, 2 * x), rtol=1e-6)


@pytest.mark.parametrize("side", [4, 5, 6, 7])
def test_odd_images_are_halved_downwards(side):
    model = cnn((side, side, 1), [(2,), (2,)], 3)
    assert shapes(model)["head/kernel"] == (2, 3)
    params, _ = jax.eval_shape(model.init, jax.random.key(0))
    images = jax.ShapeDtypeStruct((1, side, side, 1), jnp.float32)
    output, _ = jax.eval_shape(lambda p, x: model.apply(p, {}, x, train=False), params, images)
    assert output.shape == (1, 3)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: mlp((4,), (5, 0), 3), "widths=(5, 0)"),
        (lambda: mlp((4,), (5,), 0), "num_classes=0"),
        (lambda: mlp((0, 4), (5,), 2), "mlp sizes are input_shape=(0, 4)"),
        (lambda: mlp((4,), (-1,), 2), "widths=(-1,)"),
        (lambda: mlp((-2, -2), (5,), 2), "input_shape=(-2, -2)"),
        (lambda: mlp((4,), (5.0,), 2), "widths=(5.0,)"),
        (lambda: mlp(4, (5,), 2), "input_shape=4, widths=(5,), num_classes=2, expected sequences"),
        (lambda: cnn((8, 8, 1), (2, 2), 3), "blocks=(2, 2)"),
        (lambda: cnn((8, 8, 1), 2, 3), "blocks=2"),
        (lambda: mlp((4,), (2**31,), 2), "widths=(2147483648,)"),
        (lambda: mlp((2**16, 2**16), (5,), 2), "mlp layer sizes are [4294967296, 5, 2]"),
        (lambda: mlp((4,), (5,), 3, dropout_rate=1.0), "dropout_rate is 1.0"),
        (lambda: mlp((4,), (5,), 3, dropout_rate=np.float32(1.5)), "dropout_rate is 1.5"),
        (lambda: mlp((4,), (5,), 3, dropout_rate=jnp.float32(np.nan)), "dropout_rate is nan"),
        (lambda: mlp((4,), (5,), 3, dropout_rate=-0.1), "dropout_rate is -0.1"),
        (lambda: cnn((4, 4, 1), [(2,), (2,), (2,)], 3), "4x4 pixels are too small for 3 halvings"),
        (lambda: cnn((8, 1, 1), [(2,)], 3), "8x1 pixels are too small"),
        (
            lambda: cnn((8, 8), [(2,)], 3),
            "input_shape is (8, 8), expected (height, width, channels)",
        ),
        (lambda: cnn((8.0, 8, 1), [(2,)], 3), "input_shape=(8.0, 8, 1)"),
        (lambda: cnn((8, 8, 1), [(2, 0)], 3), "blocks=[(2, 0)]"),
        (lambda: cnn((8, 8, 1), [(2,)], 3, widths=(0,)), "widths=(0,)"),
        (lambda: cnn((8, 8, 1), [(2,)], 0), "num_classes=0"),
        (lambda: cnn((8, 8, 1), [(2,)], 3, dropout_rate=1.5), "dropout_rate is 1.5"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_sizes_and_rates_out_of_range_are_refused(make, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        make()


@pytest.mark.parametrize(
    "make", [lambda: mlp((8, 8, 1), (5,), 3), lambda: cnn((8, 8, 1), [(2,)], 3)]
)
@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (np.zeros((2, 9, 9, 1), np.float32), "shape (2, 9, 9, 1), expected (batch, 8, 8, 1)"),
        (np.zeros((2, 4, 16, 1), np.float32), "shape (2, 4, 16, 1), expected (batch, 8, 8, 1)"),
        (np.zeros((2, 64), np.float32), "shape (2, 64), expected (batch, 8, 8, 1)"),
        (np.zeros((2, 8, 8, 1), np.uint8), "type uint8, expected floats: preprocessing is missing"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(make, inputs, said):
    model = make()
    params, state = jax.eval_shape(model.init, jax.random.key(0))
    with pytest.raises(UsageError, match=f"^layer inputs: (mlp|cnn) got .*{re.escape(said)}"):
        jax.eval_shape(lambda params: model.apply(params, state, inputs, train=False), params)
