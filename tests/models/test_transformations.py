"""Functions that take a model and give a model."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.errors import UsageError
from dl_jax.functional import relu
from dl_jax.models import (
    Model,
    Stepper,
    chain,
    drop,
    linear,
    mlp,
    norm,
    standardize,
    with_compute_dtype,
    with_frozen_statistics,
    with_preprocessing,
)
from tests.models.randomized import randomized

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 4, 3, 2)).astype(np.uint8)


def probe():
    """A model that records its arguments."""
    seen = {}

    def apply(params, state, inputs, *, train, key=None):
        seen.update(params=params, state=state, inputs=inputs, train=train, key=key)
        return {"logits": inputs * params["scale"], "ids": jnp.arange(3)}, {
            "count": state["count"] + 1,
            "mean": state["mean"] + inputs.mean(),
        }

    def init(key):
        return {"scale": jnp.ones(())}, {"count": jnp.zeros((), jnp.int32), "mean": jnp.zeros(())}

    return Model(init, apply), seen


def test_preprocessing_is_applied_before_the_model():
    inner = mlp((4, 3, 2), (5,), 3)
    std = np.array([0.3, 0.2], np.float32)
    outer = with_preprocessing(inner, standardize(np.array([0.5, 0.4], np.float32), std))
    params, state = outer.init(jax.random.key(0))
    expected = (PIXELS / 255 - np.array([0.5, 0.4])) / std
    np.testing.assert_allclose(
        outer.apply(params, state, jnp.asarray(PIXELS), train=False)[0],
        inner.apply(params, state, jnp.asarray(expected, jnp.float32), train=False)[0],
        atol=1e-5,
    )


@pytest.mark.parametrize("train", [False, True])
def test_preprocessing_passes_everything_on(train):
    model, seen = probe()
    params, state = model.init(jax.random.key(0))
    key = jax.random.key(3)
    _, new_state = with_preprocessing(model, lambda x: x + 1).apply(
        params, state, jnp.zeros(2), train=train, key=key
    )
    assert (seen["train"], seen["params"], seen["state"]) == (train, params, state)
    assert seen["key"] is key
    assert new_state["count"] == 1
    np.testing.assert_array_equal(seen["inputs"], 1)


def test_compute_dtype_applies_to_parameters_and_inputs_but_not_to_state():
    model, seen = probe()
    half = with_compute_dtype(model, jnp.bfloat16)
    params, state = half.init(jax.random.key(0))
    outputs, new_state = half.apply(params, state, jnp.ones(2), train=True)
    assert seen["params"]["scale"].dtype == seen["inputs"].dtype == jnp.bfloat16
    assert seen["state"]["mean"].dtype == new_state["mean"].dtype == jnp.float32
    assert new_state["count"].dtype == outputs["ids"].dtype == jnp.int32
    assert outputs["logits"].dtype == jnp.float32


def test_compute_dtype_leaves_integers_alone():
    model, seen = probe()
    params, state = model.init(jax.random.key(0))
    half = with_compute_dtype(model, "bfloat16")
    half.apply(params, state, jnp.arange(3), train=False)
    assert seen["inputs"].dtype == jnp.int32


def test_float32_gives_the_model_itself():
    model, _ = probe()
    assert with_compute_dtype(model, "float32") is model


def test_preprocessing_outermost_computes_in_float32():
    """Preprocessing outermost, as the experiments compose: 8 bits of mantissa lose no pixel."""
    model, seen = probe()
    half = with_compute_dtype(model, jnp.bfloat16)
    both = with_preprocessing(half, lambda x: x.astype(jnp.float32) / 255)
    params, state = both.init(jax.random.key(0))
    both.apply(params, state, jnp.asarray(PIXELS), train=False)
    np.testing.assert_allclose(seen["inputs"].astype(jnp.float32), PIXELS / 255.0, rtol=2**-8)


@pytest.mark.parametrize("dtype", ["int8", "bfloat", jnp.uint8])
def test_a_compute_dtype_is_a_floating_type(dtype):
    with pytest.raises(UsageError, match="expected a floating-point type"):
        with_compute_dtype(mlp((4,), (), 2), dtype)


def layered():
    return chain({"dense1": linear(3, 4), "norm1": norm(4), "drop1": drop(0.5), "relu1": relu})


def test_frozen_statistics_are_used_and_not_moved():
    model, x = layered(), jax.random.normal(jax.random.key(1), (6, 3))
    params, state = randomized(jax.eval_shape(model.init, jax.random.key(0)))
    frozen, key = with_frozen_statistics(model), jax.random.key(2)
    assert frozen.init is model.init

    @jax.jit
    def passes(params, state):
        return [
            of.apply(params, state, x, train=train, key=key)
            for of, train in ((model, False), (frozen, False), (frozen, True), (model, True))
        ]

    expected, *both, moved = passes(params, state)
    for found in both:
        chex.assert_trees_all_equal(found, expected)
    assert not np.allclose(moved[0], expected[0])
    assert not np.allclose(moved[1]["norm1"]["mean"], state["norm1"]["mean"])


def test_a_layer_may_be_frozen_alone():
    half = chain({"backbone": with_frozen_statistics(norm(3)), "norm": norm(3)})
    params, state = half.init(jax.random.key(0))
    _, after = half.apply(params, state, jnp.arange(6.0).reshape(2, 3), train=True)
    chex.assert_trees_all_equal(after["backbone"], state["backbone"])
    np.testing.assert_allclose(after["norm"]["mean"], [0.15, 0.25, 0.35], rtol=1e-4)


def test_transformations_carry_the_layers_on():
    model = layered()
    names = list(model.layers)
    half, frozen = with_compute_dtype(model, "bfloat16"), with_frozen_statistics(model)
    for transformed in (half, frozen):
        assert list(transformed.layers) == names
    x = jax.random.normal(jax.random.key(1), (6, 3))
    rounded = x.astype(jnp.bfloat16).astype(jnp.float32)
    output, _ = half.layers["relu1"].apply({}, {}, x, train=True)
    np.testing.assert_array_equal(output, relu(rounded))
    output, _ = frozen.layers["drop1"].apply({}, {}, x, train=True)
    np.testing.assert_array_equal(output, x)
    preprocessed = with_preprocessing(model, jnp.tanh)
    assert list(preprocessed.layers) == ["preprocess", *names]
    output, _ = preprocessed.layers["preprocess"].apply({}, {}, x, train=True)
    np.testing.assert_array_equal(output, jnp.tanh(x))
    assert preprocessed.layers["dense1"] is model.layers["dense1"]


def test_what_has_no_layers_gets_none():
    model, _ = probe()
    for transformed in (with_preprocessing(model, jnp.tanh), with_compute_dtype(model, "bfloat16"),
                        with_frozen_statistics(model)):  # fmt: skip
        assert dict(transformed.layers) == {}


def test_a_later_layer_called_preprocess_is_refused():
    model = chain({"dense1": linear(3, 4), "preprocess": relu})
    with pytest.raises(UsageError, match="a layer of the model is called 'preprocess'"):
        with_preprocessing(model, jnp.tanh)


def counting_stepper(seen):
    """It remembers the sum of all embeddings and the number of tokens."""

    def start(params, batch_size, max_length, context=None):
        seen.update(start=(batch_size, max_length, context))
        # In float32 whatever the parameters are, as a careless author would write; below as well.
        return {"sum": jnp.zeros((batch_size, 4)), "count": jnp.zeros(batch_size, jnp.int32)}

    def step(params, carry, tokens, lengths=None):
        seen.update(params=params, carry=carry, tokens=tokens, lengths=lengths)
        total = carry["sum"].astype(jnp.float32) + params["embedding"][tokens].sum(1)
        carry = {"sum": total, "count": carry["count"] + tokens.shape[1]}
        return carry, total @ params["embedding"].T

    return Stepper(start, step)


def test_a_stepper_computes_in_the_compute_type():
    seen = {}
    model = Model(lambda key: ({}, {}), lambda *_: None, stepper=counting_stepper(seen))
    half = with_compute_dtype(model, "bfloat16").stepper
    params = {"embedding": jnp.asarray(np.random.default_rng(0).normal(size=(5, 4)), jnp.float32)}
    carry = half.start(params, 2, 7, jnp.ones(2))
    assert seen["start"][:2] == (2, 7)
    assert seen["start"][2].dtype == carry["sum"].dtype == jnp.bfloat16
    tokens, lengths = jnp.array([[1, 2], [3, 4]]), jnp.array([2, 1])
    after, logits = half.step(params, carry, tokens, lengths)
    chex.assert_trees_all_equal_shapes_and_dtypes(after, carry)
    assert seen["params"]["embedding"].dtype == jnp.bfloat16
    assert (seen["tokens"] is tokens, seen["lengths"] is lengths) == (True, True)
    assert (logits.dtype, carry["count"].dtype) == (jnp.float32, jnp.int32)
    expected = model.stepper.step(params, model.stepper.start(params, 2, 7), tokens)[1]
    np.testing.assert_allclose(logits, expected, atol=0.1)
    assert not np.array_equal(logits, expected)


def test_steppers_are_carried_on_or_dropped():
    model = Model(lambda key: ({}, {}), lambda *_: None, stepper=counting_stepper({}))
    assert with_frozen_statistics(model).stepper is model.stepper
    assert with_preprocessing(model, jnp.tanh).stepper is None
    assert with_compute_dtype(probe()[0], "bfloat16").stepper is None
