"""Empty batches, no classes and no keys: empty or zero results, and statistics without NaN."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax import functional as f

ones = jnp.ones
EMPTY = {  # the call, the shape of the result
    "group_norm": (lambda: f.group_norm(ones((0, 2)), groups=2), (0, 2)),
    "group_norm of images": (
        lambda: f.group_norm(ones((0, 4, 4, 2)), ones(2), ones(2), groups=1),
        (0, 4, 4, 2),
    ),
    "split_linear": (lambda: f.split_linear(ones((0, 4)), ones((2, 3)), ones(3)), (0, 6)),
    "softmax of no classes": (lambda: f.softmax(ones((3, 0))), (3, 0)),
    "log_softmax of no examples": (lambda: f.log_softmax(ones((0, 3))), (0, 3)),
    "softmax of no rows, by columns": (lambda: f.softmax(ones((0, 3)), axis=0), (0, 3)),
    "cross_entropy": (lambda: f.cross_entropy(ones((0, 3)), ones(0, int)), (0,)),
    "correct": (lambda: f.correct(ones((0, 3)), ones(0, int)), (0,)),
    "conv2d": (lambda: f.conv2d(ones((0, 4, 4, 1)), ones((3, 3, 1, 2))), (0, 4, 4, 2)),
    "max_pool": (lambda: f.max_pool(ones((0, 4, 4, 1))), (0, 2, 2, 1)),
    "multinomial": (
        lambda: f.multinomial(jax.random.key(0), ones((0, 3)), 2, replacement=False),
        (0, 2),
    ),
    "no queries": (lambda: attend(0, 3), (2, 0, 1, 4)),
}


def attend(time, source):
    keys = ones((2, source, 1, 4))
    return f.dot_product_attention(ones((2, time, 1, 4)), keys, keys)


@pytest.mark.parametrize(("call", "shape"), EMPTY.values(), ids=list(EMPTY))
def test_empty_arguments_give_empty_results(call, shape):
    assert call().shape == shape


def test_attention_over_no_keys_is_zero():
    np.testing.assert_array_equal(attend(3, 0), np.zeros((2, 3, 1, 4)))


def test_an_empty_batch_does_not_change_running_statistics():
    y, statistics = f.batch_norm(
        ones((0, 2)), ones(2), ones(2), 3 * ones(2), 5 * ones(2), train=True
    )
    assert y.shape == (0, 2)
    np.testing.assert_array_equal([statistics["mean"], statistics["var"]], [[3, 3], [5, 5]])
