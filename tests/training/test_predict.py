"""`predict` gives every example's logits once, in order, for one run and for several."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax as scipy_softmax

from dl_jax.data import Dataset
from dl_jax.errors import UsageError
from dl_jax.evaluation import to_probabilities
from dl_jax.models import Model
from dl_jax.training import predict


def images(count: int) -> Dataset:
    rng = np.random.default_rng(count)
    arrays = {
        "image": rng.integers(0, 256, (count, 4, 4, 1), np.uint8),
        "label": rng.integers(0, 3, count).astype(np.int32),
    }
    return Dataset("noise", "test", arrays)


def network() -> Model:
    def init(key: jax.Array) -> tuple:
        return {"kernel": jax.random.normal(key, (16, 3))}, {}

    def apply(params: dict, state: dict, inputs: jax.Array, *, train: bool, key=None) -> tuple:
        x = inputs.reshape(inputs.shape[0], -1).astype(jnp.float32) / 255
        return jnp.tanh(x @ params["kernel"]), state

    return Model(init, apply)


def identity() -> Model:
    """Its logits are its inputs: what comes out says which example went in."""

    def apply(params: dict, state: dict, inputs: jax.Array, *, train: bool, key=None) -> tuple:
        assert not train
        return inputs.astype(jnp.float32), state

    return Model(lambda key: ({}, {}), apply)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 16, 23])
@pytest.mark.parametrize("batch_size", [1, 8, 100])
def test_each_example_once_in_order(count: int, batch_size: int) -> None:
    numbers = np.arange(2 * count, dtype=np.int32).reshape(count, 2)
    dataset = Dataset("count", "test", {"image": numbers})
    logits = predict(identity(), {}, {}, dataset, batch_size=batch_size)
    assert logits.dtype == np.float32
    np.testing.assert_array_equal(logits, numbers)


def test_equals_one_application_to_all() -> None:
    model, dataset = network(), images(37)
    params, state = model.init(jax.random.key(0))
    expected, _ = model.apply(params, state, jnp.asarray(dataset.arrays["image"]), train=False)
    logits = predict(model, params, state, dataset, batch_size=10)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)


def test_replicas_equal_single_runs() -> None:
    model, dataset = network(), images(21)
    keys = jax.random.split(jax.random.key(1), 3)
    params, state = jax.vmap(model.init)(keys)
    together = predict(model, params, state, dataset, batch_size=8, replicas=True)
    assert together.shape == (3, 21, 3)
    for run, key in enumerate(keys):
        alone = predict(model, *model.init(key), dataset, batch_size=8)
        np.testing.assert_allclose(together[run], alone, rtol=1e-5, atol=1e-6)
    assert not np.allclose(together[0], together[1])


def test_state_is_mapped_with_the_replicas() -> None:
    def apply(params: dict, state: dict, inputs: jax.Array, *, train: bool, key=None) -> tuple:
        return params["scale"] * inputs + state["mean"], state

    model = Model(lambda key: ({}, {}), apply)
    dataset = Dataset("ones", "test", {"image": np.ones((5, 2), np.float32)})
    params, state = {"scale": jnp.array([1.0, 2.0])}, {"mean": jnp.array([10.0, 20.0])}
    logits = predict(model, params, state, dataset, batch_size=2, replicas=True)
    np.testing.assert_array_equal(logits, np.array([11.0, 22.0])[:, None, None] * np.ones((5, 2)))


def test_is_traced_once_however_often_it_is_called() -> None:
    traces = []

    def apply(params: dict, state: dict, inputs: jax.Array, *, train: bool, key=None) -> tuple:
        traces.append(inputs.shape)
        return inputs.reshape(inputs.shape[0], -1).astype(jnp.float32), state

    model, dataset = Model(lambda key: ({}, {}), apply), images(10)
    predict(model, {}, {}, dataset, batch_size=4)
    predict(model, {}, {}, dataset, batch_size=4)
    assert traces == [(4, 4, 4, 1)]


def test_other_inputs_can_be_named() -> None:
    arrays = {"text": np.array([[1.0, 2.0]], np.float32), "label": np.zeros(1, np.int32)}
    dataset = Dataset("words", "test", arrays)
    assert predict(identity(), {}, {}, dataset, inputs="text").tolist() == [[1.0, 2.0]]


def test_nothing_to_predict_is_an_error() -> None:
    with pytest.raises(UsageError, match="test split of noise has no examples"):
        predict(identity(), {}, {}, images(0))
    with pytest.raises(UsageError, match="batch_size is 0"):
        predict(identity(), {}, {}, images(3), batch_size=0)


def test_to_probabilities_is_the_softmax() -> None:
    logits = np.random.default_rng(0).normal(0, 30, (2, 5, 4)).astype(np.float32)
    expected = scipy_softmax(logits.astype(np.float64), axis=-1)
    np.testing.assert_allclose(to_probabilities(logits), expected, rtol=1e-4, atol=1e-7)


def test_outputs_may_be_a_tree_with_any_number_of_axes():
    def apply(params, state, inputs, *, train, key=None):
        x = inputs.astype(jnp.bfloat16)
        return {"pixels": x, "first": (inputs[:, 0, 0, 0], x.mean((1, 2, 3)))}, state

    data = images(7)
    found = predict(Model(lambda key: ({}, {}), apply), {}, {}, data, batch_size=3)
    np.testing.assert_array_equal(found["pixels"], data.arrays["image"])
    assert found["pixels"].dtype == np.float32
    np.testing.assert_array_equal(found["first"][0], data.arrays["image"][:, 0, 0, 0])
    assert found["first"][0].dtype == np.uint8
    assert found["first"][1].shape == (7,)


def test_inputs_that_are_not_there_are_named():
    with pytest.raises(UsageError, match="inputs is 'imag', expected one of image, label.*image"):
        predict(network(), {}, {}, images(3), inputs="imag")


def test_a_model_of_several_inputs_is_given_them_in_order() -> None:
    dataset = images(7)

    def apply(params: dict, state: dict, inputs: tuple, *, train: bool, key=None) -> tuple:
        image, label = inputs
        return image.sum((1, 2, 3)) * 10.0 + label, state

    model = Model(lambda key: ({}, {}), apply)
    found = predict(model, {}, {}, dataset, batch_size=3, inputs=("image", "label"))
    sums = dataset.arrays["image"].sum((1, 2, 3))
    np.testing.assert_allclose(found, sums * 10 + dataset.arrays["label"])
    with pytest.raises(UsageError, match="inputs is 'labels', expected one of image, label"):
        predict(model, {}, {}, dataset, inputs=("image", "labels"))
