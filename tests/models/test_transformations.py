"""Functions that take a model and give a model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.errors import UsageError
from dl_jax.models import Model, mlp, standardize, with_compute_dtype, with_preprocessing

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
