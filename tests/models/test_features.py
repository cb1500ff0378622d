"""What layers compute, by name: through chains, residual blocks and transformations."""

import re
from functools import cache, partial
from zlib import crc32

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.errors import UsageError
from dl_jax.functional import batch_norm, conv2d, dense, dropout, global_avg_pool, relu
from dl_jax.models import (
    Model,
    chain,
    cnn,
    conv,
    drop,
    features,
    linear,
    mlp,
    norm,
    residual,
    split,
    with_compute_dtype,
    with_frozen_statistics,
    with_preprocessing,
)
from tests.models.randomized import randomized

KEY = jax.random.key(7)
BYTES = jnp.asarray(np.random.default_rng(0).integers(0, 256, (3, 5, 4, 2)), jnp.uint8)


def preprocess(x):
    return x.astype(jnp.float32) / 100 - 1


IMAGES = preprocess(BYTES)


def network():
    branch = chain({"conv": conv(4, 3), "norm": norm(3), "drop": drop(0.5)})
    shortcut = chain({"conv": conv(4, 3, 1), "relu": relu})
    return chain(
        {
            "conv1": conv(2, 4),
            "block": residual(branch, shortcut),
            "inner": chain({"deep": chain({"relu1": relu}), "pool": global_avg_pool}),
            "head": linear(3, 2),
        }
    )


WEIGHTS = PARAMS, STATE = randomized(jax.eval_shape(network().init, KEY))
NAMES = [
    "head", "conv1", "block", "block/conv", "block/norm", "block/drop", "block/shortcut",
    "block/shortcut/conv", "block/shortcut/relu", "inner", "inner/deep", "inner/deep/relu1",
    "inner/pool",
]  # fmt: skip


@cache
def by_hand(train):
    """Every value between two layers, compiled once."""
    return jax.jit(partial(values_by_hand, train))()


def values_by_hand(train):
    block, shortcut = PARAMS["block"], PARAMS["block"]["shortcut"]
    values = {"conv1": conv2d(IMAGES, **PARAMS["conv1"])}
    values["block/conv"] = conv2d(values["conv1"], **block["conv"])
    values["block/norm"] = values["block/drop"] = batch_norm(
        values["block/conv"], **block["norm"], **STATE["block"]["norm"], train=train
    )[0]
    if train:
        key = KEY
        for name in ("block", "drop"):
            key = jax.random.fold_in(key, crc32(name.encode()))
        values["block/drop"] = dropout(values["block/norm"], 0.5, key=key)
    values["block/shortcut/conv"] = conv2d(values["conv1"], **shortcut["conv"])
    values["block/shortcut/relu"] = relu(values["block/shortcut/conv"])
    values["block/shortcut"] = values["block/shortcut/relu"]
    values["block"] = values["block/drop"] + values["block/shortcut"]
    values["inner/deep/relu1"] = values["inner/deep"] = relu(values["block"])
    values["inner/pool"] = values["inner"] = global_avg_pool(values["inner/deep"])
    values["head"] = dense(values["inner"], **PARAMS["head"])
    return values


def run(model, names, inputs, train=True):
    """Features and state, beside what the model itself gives; all in one program."""

    # Every intermediate value is rounded to its type, as when each operation runs by itself.
    @partial(jax.jit, compiler_options={"xla_allow_excess_precision": False})
    def program(weights, inputs):
        mode = {"train": train, "key": KEY}
        return features(model, names).apply(*weights, inputs, **mode), model.apply(
            *weights, inputs, **mode
        )

    return program(WEIGHTS, inputs)


@pytest.mark.parametrize("train", [False, True])
def test_are_the_values_between_the_layers(train):
    (found, state), expected = run(network(), NAMES, IMAGES, train)
    assert sorted(found) == sorted(NAMES)  # all of them, and no more
    chex.assert_trees_all_close(found, by_hand(train), rtol=1e-4, atol=1e-4)
    chex.assert_trees_all_close((found["head"], state), expected, atol=1e-5)
    if train:
        assert not np.allclose(state["block"]["norm"]["mean"], STATE["block"]["norm"]["mean"])


@pytest.mark.parametrize("name", NAMES)
def test_one_alone_is_what_it_is_among_others(name):
    apply = features(network(), [name]).apply
    found = jax.eval_shape(partial(apply, train=True), *WEIGHTS, IMAGES, key=KEY)[0]
    assert found == {name: jax.eval_shape(lambda: by_hand(True)[name])}


def test_have_the_parameters_of_the_model():
    model = network()
    assert features(model, ["block/conv"]).init is model.init


def test_of_preprocessed_inputs():
    names = ["preprocess", "block/conv", "head"]
    (found, state), expected = run(with_preprocessing(network(), preprocess), names, BYTES)
    np.testing.assert_allclose(found["preprocess"], IMAGES, rtol=1e-6)
    for name in names[1:]:
        np.testing.assert_allclose(found[name], by_hand(True)[name], rtol=1e-4, atol=1e-4)
    chex.assert_trees_all_close((found["head"], state), expected, atol=1e-5)


def test_of_inputs_that_are_preprocessed_twice():
    model = with_preprocessing(chain({"double": lambda x: 2 * x}), lambda x: x + 1)
    model = with_preprocessing(model, lambda x: 10 * x)
    found, _ = features(model, ["preprocess", "double"]).apply({}, {}, 3.0, train=False)
    assert found == {"preprocess": 31, "double": 62}
    assert model.apply({}, {}, 3.0, train=False)[0] == 62


def test_of_a_preprocessed_residual():
    model = with_preprocessing(residual(chain({"double": lambda x: 2 * x})), lambda x: x + 1)
    inputs = jnp.float32(3)
    found, _ = features(model, ["double", "shortcut"]).apply({}, {}, inputs, train=False)
    assert found == {"double": 8, "shortcut": 4}
    wrapped = features(chain({"block": model}), ["block/double", "block"])
    found, _ = wrapped.apply({}, {}, inputs, train=False)
    assert found == {"block/double": 8, "block": 12}


def test_in_a_compute_type():
    model = with_preprocessing(with_compute_dtype(network(), "bfloat16"), preprocess)
    (found, state), (output, expected) = run(model, ["preprocess", *NAMES], BYTES)
    np.testing.assert_allclose(found["preprocess"], IMAGES, rtol=1e-6)
    chex.assert_trees_all_close(state, expected, atol=0.02)
    np.testing.assert_allclose(found["head"], output, atol=0.02)
    for name, value in by_hand(True).items():
        assert found[name].dtype == jnp.float32
        scale = np.abs(value).max()
        np.testing.assert_allclose(found[name], value, atol=0.05 * scale, err_msg=name)
        if name not in ("block", "inner", "inner/pool"):  # sums and means of such values
            rounded = np.asarray(found[name]).astype(jnp.bfloat16).astype(np.float32)
            np.testing.assert_array_equal(found[name], rounded, err_msg=name)


def test_of_frozen_statistics():
    (found, state), expected = run(with_frozen_statistics(network()), NAMES, IMAGES)
    chex.assert_trees_all_close(found, by_hand(False), rtol=1e-4, atol=1e-4)
    chex.assert_trees_all_equal(state, STATE)
    chex.assert_trees_all_close((found["head"], state), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (mlp((5, 4, 2), (6,), 3), ["inputs", "flatten", "activation1", "head"]),
        (cnn((5, 4, 2), [(3, 3)], 3, widths=(4,)), ["conv1_1", "pool1", "dense1", "head"]),
    ],
)
def test_of_our_classifiers(model, names):
    @jax.jit
    def program():
        params, _ = model.init(KEY)
        features_and_output = features(model, names), model
        return [m.apply(params, {}, IMAGES, train=False)[0] for m in features_and_output]

    found, logits = program()
    np.testing.assert_array_equal(found["head"], logits)
    assert all(value.shape[0] == 3 for value in found.values())


@pytest.mark.parametrize(
    ("model", "names", "said"),
    [
        (network(), ["block/nrm"], "there is no layer 'block/nrm'; did you mean 'block/norm'?"),
        (network(), ["conv1", "xyz"], "no layer 'xyz'; the layers are conv1, block, inner, head"),
        (network(), ["head/kernel"], "there is no layer 'head/kernel'"),
        (network(), "conv1", "names is 'conv1', expected a sequence of names"),
        (network(), [], "names is [], expected a sequence of names"),
        (Model(None, None), ["a"], "features of a model without layers"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_what_there_is_not_is_refused(model, names, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        features(model, names)


@pytest.mark.parametrize("wrapped", ["as it is", "preprocessed", "in bfloat16"])
@pytest.mark.parametrize("name", ["conv1", "block", "inner"])
def test_two_parts_are_the_whole(name, wrapped):
    model, inputs = {
        "as it is": (network(), IMAGES),
        "preprocessed": (with_preprocessing(network(), preprocess), BYTES),
        "in bfloat16": (with_compute_dtype(network(), "bfloat16"), IMAGES),
    }[wrapped]
    before, after = split(model, name)

    @partial(jax.jit, compiler_options={"xla_allow_excess_precision": False})
    def both(params, state, inputs):
        mode = {"train": True, "key": KEY}
        middle, first = before.apply(params, state, inputs, **mode)
        end, second = after.apply(params, state, middle, **mode)
        return (end, {**first, **second}), model.apply(params, state, inputs, **mode)

    found, expected = both(*WEIGHTS, inputs)
    chex.assert_trees_all_close(found, expected, rtol=1e-6, atol=1e-6)
    drawn = [jax.eval_shape(part.init, KEY) for part in (before, after, model)]
    assert {**drawn[0][0], **drawn[1][0]} == drawn[2][0]


@pytest.mark.parametrize(
    ("model", "name", "said"),
    [
        (
            network(),
            "blok",
            "expected one of block, conv1, inner; did you mean 'block'?",
        ),
        (network(), "head", "layer is 'head', expected one of"),
        (residual(chain({"a": relu})), "a", "takes a model apart that is a chain of layers"),
        (with_frozen_statistics(Model(network().init, network().apply)), "conv1", "this is none"),
    ],
)
def test_what_cannot_be_split_is_refused(model, name, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        split(model, name)
