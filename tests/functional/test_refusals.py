"""Arguments of wrong shape, type or value are refused; NumPy's arrays and numbers are not."""

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from dl_jax import functional as f
from dl_jax.concrete import check_concrete
from dl_jax.errors import UsageError
from dl_jax.shape_checks import TypeCheckError, explain
from tests.functional.refused_shapes import CALLS, IMAGES, KERNEL, KEY

ones, nan = jnp.ones, float("nan")
STATISTICS = {"mean": ones(2), "var": ones(2)}
IMAGE = np.random.default_rng(0).normal(size=(2, 4, 4, 2))  # float64, as NumPy makes it
ROWS, LABELS = IMAGE[0, 0], np.arange(4, dtype=np.uint8) % 2


@pytest.mark.parametrize(("call", "argument"), CALLS.values(), ids=list(CALLS))
def test_wrong_shapes_and_types_are_refused_by_the_name_of_the_argument(call, argument):
    with pytest.raises(TypeCheckError, match=f"parameter '{argument}'") as raised:
        call()
    assert f": {argument} is " in explain(raised.value)


def batch_norm(**options):
    return f.batch_norm(IMAGES, ones(2), ones(2), **STATISTICS, train=True, **options)


VALUES = {  # argument: the call, values that are refused, a value that is accepted
    "label_smoothing": (
        lambda v: f.cross_entropy(ones((2, 3)), ones(2, int), label_smoothing=v),
        [1.5, -1, nan],
        0.1,
    ),
    "delta": (lambda v: f.huber_loss(ones((2, 3)), ones((2, 3)), delta=v), [0, -1, nan], 2.0),
    "dropout rate": (lambda v: f.dropout(ones(3), v, key=KEY), [1.5, 1, -0.1, nan], 0.5),
    "drop_norm": (
        lambda v: f.drop_norm(ones((2, 3)), ones(3), ones(3), rate=v, train=True, key=KEY),
        [1.5, 1],
        0.5,
    ),
    "momentum": (lambda v: batch_norm(momentum=v), [2, -0.1, nan], 0.5),
    "batch_norm epsilon": (lambda v: batch_norm(epsilon=v), [-1, nan], 0),
    "layer_norm epsilon": (lambda v: f.layer_norm(ones((2, 3)), epsilon=v), [-1, nan], 0.1),
}


@pytest.mark.parametrize("number", [float, np.float32, jnp.float32], ids=["py", "np", "jnp"])
@pytest.mark.parametrize(("call", "wrong", "right"), VALUES.values(), ids=list(VALUES))
def test_numbers_out_of_range_are_refused(call, wrong, right, number):
    for value in wrong:
        with pytest.raises(UsageError, match="expected"):
            call(number(value))
    jax.eval_shape(lambda: call(number(right)))


def test_a_concrete_number_is_checked_while_tracing_and_a_tracer_is_not():
    rate = jnp.float32(1.5)
    with pytest.raises(UsageError, match="rate is 1.5, expected at least 0 and at most 1"):
        jax.jit(lambda x: check_concrete("rate", rate, low=0, high=1) or x)(1.0)
    jax.jit(lambda rate: check_concrete("rate", rate, low=0, high=1) or rate)(rate)


@pytest.mark.parametrize("replacement", [True, False])
@pytest.mark.parametrize(
    ("probabilities", "said"),
    [
        ([-1.0, 2.0], "finite and non-negative"),
        ([nan, 1.0], "finite and non-negative"),
        ([np.inf, 1.0], "finite and non-negative"),
        ([[0.5, 0.5], [0.0, 0.0]], "has 0 classes of positive probability"),
    ],
)
def test_probabilities_that_are_none_are_refused(probabilities, said, replacement):
    with pytest.raises(ValueError, match=said):
        f.multinomial(KEY, np.array(probabilities), 1, replacement=replacement)


def test_two_draws_without_replacement_need_two_classes_of_positive_probability():
    with pytest.raises(ValueError, match="has 1 classes of positive probability, expected at leas"):
        f.multinomial(KEY, jnp.array([1.0, 0, 0]), 2, replacement=False)
    f.multinomial(KEY, jnp.array([1.0, 0, 0]), 2, replacement=True)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: f.conv2d(IMAGES, KERNEL, padding=1.5), "padding is 1.5, expected 'SAME'"),
        (lambda: f.conv2d(IMAGES, KERNEL, padding=None), "padding is None, expected 'SAME'"),
        (lambda: f.conv2d(IMAGES, KERNEL, stride=1.5), "stride is 1.5, expected a positive"),
        (lambda: f.max_pool(IMAGES, "2"), "window is '2', expected a positive"),
        (lambda: f.conv2d(IMAGES, ones((3, 3, 2, 0))), r"\(3, 3, 2, 0\) is empty"),
        (lambda: f.conv2d_transpose(IMAGES, ones((3, 3, 2, 0))), r"\(3, 3, 2, 0\) is empty"),
        (lambda: f.split_linear(ones((3, 4)), ones((0, 2))), "split into parts of 0"),
        (lambda: f.he_normal(KEY, (0, 4)), "none of length 0"),
    ],
)
def test_sizes_are_refused_in_words_without_type_checks_too(call, said, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ValueError, match=said):
        call()


NUMPY = {  # numbers of NumPy, and arrays of the types that it makes by default
    "conv2d": lambda: f.conv2d(
        IMAGE, np.ones((3, 3, 2, 2)), stride=np.int64(2), dilation=np.int8(1), groups=np.int64(1)
    ),
    "conv2d_transpose": lambda: f.conv2d_transpose(
        IMAGE, np.ones((3, 3, 2, 2)), padding=(np.int64(1), 1)
    ),
    "max_pool": lambda: f.max_pool(IMAGE, np.int64(2)),
    "batch_norm": lambda: f.batch_norm(
        IMAGE, np.ones(2), np.ones(2), np.ones(2), np.ones(2), train=True, momentum=np.float32(0.5)
    )[0],
    "layer_norm": lambda: f.layer_norm(ROWS, np.ones(2), np.ones(2), epsilon=np.float64(1e-6)),
    "dropout": lambda: f.dropout(ROWS, np.float32(0.5), key=KEY),
    "drop_norm": lambda: f.drop_norm(
        ROWS, np.ones(2), np.ones(2), rate=np.float32(0.5), train=True, key=KEY
    ),
    "huber_loss": lambda: f.huber_loss(ROWS, ROWS, delta=np.float32(1)),
    "correct": lambda: f.correct(ROWS, LABELS),
    "cached attention": lambda: f.multi_head_attention(
        IMAGE[0],
        **{name: {"kernel": np.ones((2, 1, 2))} for name in ("query", "key", "value")},
        out={"kernel": np.ones((1, 2, 2))},
        positions=np.arange(4, dtype=np.uint8),
        cache=f.KeyValueCache(np.zeros((4, 6, 1, 2)), np.zeros((4, 6, 1, 2))),
    )[0],
    "empty_cache": lambda: f.empty_cache(*np.array([1, 2, 3, 4])).key,
    "padding_mask": lambda: f.padding_mask(np.arange(3), np.int64(3)),
    "causal_mask": lambda: f.causal_mask(np.int64(3)),
    "random_crop": lambda: f.random_crop(IMAGE, np.int64(1), key=KEY),
    "multinomial": lambda: f.multinomial(KEY, np.ones(3), np.int64(2), replacement=False),
}


@pytest.mark.parametrize("call", NUMPY.values(), ids=list(NUMPY))
def test_numbers_of_numpy_are_accepted(call):
    result = call()
    assert isinstance(result, jax.Array)
    assert jnp.isfinite(result).all()
