"""Dense layers, lookups, dropout, normalization and broadcasting."""

import jax
import numpy as np
from hypothesis import strategies as st

from dl_jax import functional as f
from tests.functional.harness import Case, Edge, Operation, booleans, leading, sizes, torch

KEY = jax.random.key(0)
dropout = jax.jit(lambda x, rate: f.dropout(x, rate, key=KEY))


# References.


def dense(x, kernel, bias=None):
    y = np.einsum("...i,io->...o", x, kernel)
    return y if bias is None else y + bias


def split_linear(x, kernel, bias=None):
    count = x.shape[-1] // len(kernel)
    return np.concatenate([dense(part, kernel, bias) for part in np.split(x, count, -1)], -1)


def embed(embedding, *, indices):
    """Each row times the number of its uses: a product with one-hot vectors."""
    return np.eye(len(embedding))[indices] @ embedding


def normalized(x, axes, epsilon):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


def affine(x, scale=None, bias=None):
    return x * (1 if scale is None else scale) + (0 if bias is None else bias)


def layer_norm(x, scale=None, bias=None, *, epsilon=1e-6):
    return affine(normalized(x, -1, epsilon), scale, bias)


def rms_norm(x, scale=None, *, epsilon=1e-6):
    return affine(x / np.sqrt((x**2).mean(-1, keepdims=True) + epsilon), scale)


def group_norm(x, scale=None, bias=None, *, groups, epsilon=1e-6):
    parts = np.split(x, groups, -1)
    axes = tuple(range(1, x.ndim))
    return affine(np.concatenate([normalized(p, axes, epsilon) for p in parts], -1), scale, bias)


def batch_norm(x, scale, bias, *, epsilon=1e-5):
    return affine(normalized(x, tuple(range(x.ndim - 1)), epsilon), scale, bias)


def statistics(mean, var, *, x, momentum=0.9):
    if x.size == 0:
        return {"mean": mean, "var": var}
    axes = tuple(range(x.ndim - 1))
    return {
        "mean": momentum * mean + (1 - momentum) * x.mean(axes),
        "var": momentum * var + (1 - momentum) * x.var(axes),
    }


def evaluated(x, scale, bias, mean, var, *, epsilon=1e-5):
    return scale * (x - mean) / np.sqrt(var + epsilon) + bias


def survivors(shape, rate):
    """Where dropout lets ones pass; which these are is tested in `test_dropout`."""
    return np.asarray(dropout(np.ones(shape, np.float32), rate)) != 0


def drop_norm(x, scale, bias, *, rate, epsilon=1e-6):
    """Each example's survivors, taken out and normalized alone."""
    result = np.zeros(x.shape)
    for row, alive in enumerate(survivors(x.shape, rate)):
        if alive.any():
            alone = normalized(x[row, alive], -1, epsilon)
            result[row, alive] = affine(alone, scale[alive], bias[alive])
    return result


def in_torch(normalize):
    """A normalization over channels, which are PyTorch's second axis."""
    return lambda x, *a, **options: normalize(x.movedim(-1, 1), *a, **options).movedim(1, -1)


# Cases.


def numbers(random, *shape):
    return 2 * random.normal(size=shape) + 1


def kernel_and_bias(draw, random, inputs):
    outputs = draw(sizes)
    kernel = random.normal(size=(inputs, outputs))
    return (kernel, random.normal(size=outputs)) if draw(booleans) else (kernel,)


def dense_case(draw, random):
    x = random.normal(size=(*draw(leading), draw(sizes)))
    return Case(x, *kernel_and_bias(draw, random, x.shape[-1]))


def split_case(draw, random):
    parts, part_in = draw(sizes), draw(st.sampled_from((2, 1, 3)))
    x = random.normal(size=(*draw(leading), parts * part_in))
    return Case(x, *kernel_and_bias(draw, random, part_in))


def embed_case(draw, random):
    vocabulary = draw(st.integers(2, 6))
    indices = np.asarray(random.integers(0, vocabulary, draw(leading)), np.int8)
    return Case(random.normal(size=(vocabulary, 3)), indices=indices)


def features(parameters):
    """Examples of some features, and up to this many parameters for each feature."""

    def case(draw, random):
        x = numbers(random, *draw(leading), draw(st.sampled_from((6, 3, 4, 5))))
        count = draw(st.integers(0, parameters).map(lambda fewer: parameters - fewer))
        epsilon = draw(st.sampled_from((1e-6, 0.1)))
        return Case(x, *(numbers(random, x.shape[-1]) for _ in range(count)), epsilon=epsilon)

    return case


def grouped(draw, random):
    groups, each = draw(sizes), draw(st.sampled_from((3, 4, 2)))
    pixels = draw(st.sampled_from(((2, 3), (), (5,))))
    x = numbers(random, draw(st.sampled_from((2, 1, 3))), *pixels, groups * each)
    x[..., ::2] += 8  # two numbers that are almost equal would have no digits left to compare
    parameters = [numbers(random, groups * each) for _ in range(draw(st.sampled_from((2, 0, 1))))]
    return Case(x, *parameters, groups=groups)


def images_or_rows(draw, random):
    pixels = draw(st.sampled_from(((2, 3), (), (4,))))
    return numbers(random, draw(st.integers(4, 6)), *pixels, draw(sizes))


def batch_case(draw, random):
    x = images_or_rows(draw, random)
    epsilon = draw(st.sampled_from((1e-5, 0.1)))
    return Case(x, *numbers(random, 2, x.shape[-1]), epsilon=epsilon)


def statistics_case(draw, random):
    x = images_or_rows(draw, random)
    momentum = draw(st.sampled_from((0.7, 0.9, 0, 1)))
    return Case(*numbers(random, 2, x.shape[-1]), x=x, momentum=momentum)


def evaluation_case(draw, random):
    x = images_or_rows(draw, random)
    scale, bias, mean, var = numbers(random, 4, x.shape[-1])
    return Case(x, scale, bias, mean, var**2 + 0.5)


def drop_norm_case(draw, random):
    x = numbers(random, draw(sizes), 12)
    return Case(x, *numbers(random, 2, 12), rate=draw(st.sampled_from((0.3, 0.0, 0.6))))


def stretchable(draw, random, shape):
    """An array that broadcasts to `shape`: axes of length 1, and the first ones missing."""
    lengths = np.where(random.random(len(shape)) < 0.5, 1, shape)
    return random.normal(size=lengths[draw(st.integers(0, 2)) :])


def broadcast_case(draw, random):
    shape = *draw(leading), draw(sizes)
    return Case(*(stretchable(draw, random, shape) for _ in range(3)))


def expand_case(draw, random):
    shape = *draw(leading), draw(sizes)
    return Case(stretchable(draw, random, shape), shape=shape)


# Edges.

small = 1e-3 * np.arange(4.0)[None]  # the default epsilon counts
close_to_large = np.array([[1e4, 1e4 + 1, 1e4 + 2, 1e4 + 3]])
NORMALIZED = {
    "equal features": Edge(Case(np.ones((2, 3))), np.zeros((2, 3))),
    "one feature": Edge(Case(np.ones((2, 1))), np.zeros((2, 1)), (np.zeros((2, 1)),)),
    "a large mean": Edge(Case(close_to_large), layer_norm(np.arange(4.0))[None]),
    "small numbers": Edge(Case(small)),
    "empty": Edge(Case(np.ones((0, 3)))),
}
FEW, MANY = np.ones(2), np.ones((0, 4, 4, 2))

ROWS = {
    "dense": Operation(
        f.dense, dense, dense_case,
        lambda x, kernel, *bias: torch.nn.functional.linear(x, kernel.T, *bias),
        {"empty": Edge(Case(np.ones((0, 3)), np.ones((3, 2)), FEW)),
         "no features": Edge(Case(np.ones((2, 0)), np.ones((0, 2))))},
    ),
    "split_linear": Operation(
        f.split_linear, split_linear, split_case,
        edges={"empty": Edge(Case(np.ones((0, 4)), np.ones((2, 3)), np.ones(3)), np.ones((0, 6)))},
    ),
    "embed": Operation(
        lambda embedding, indices: f.embed(indices, embedding), embed, embed_case,
        lambda embedding, indices: embedding[torch.tensor(indices, dtype=torch.int64)],
        {"indices outside the vocabulary": Edge(
            Case(np.ones((7, 1)), indices=np.array([1, 7, -1, 6])),
            np.array([[1], [np.nan], [np.nan], [1]]),
        )},
    ),
    "dropout": Operation(
        lambda x, rate: f.dropout(x, rate, key=KEY),
        lambda x, rate: np.where(survivors(x.shape, rate), x / (1 - rate), 0),
        lambda draw, random: Case(
            random.normal(size=(*draw(leading), 6)), rate=draw(st.sampled_from((0.3, 0.0, 0.9)))
        ),
        edges={"empty": Edge(Case(np.ones((0, 3)), rate=0.5))},
    ),
    "layer_norm": Operation(
        f.layer_norm, layer_norm, features(2),
        lambda x, *parameters, epsilon: torch.nn.functional.layer_norm(
            x, x.shape[-1:], *parameters, eps=epsilon
        ),
        NORMALIZED,
    ),
    "rms_norm": Operation(
        f.rms_norm, rms_norm, features(1),
        lambda x, *scale, epsilon: torch.nn.functional.rms_norm(
            x, x.shape[-1:], *scale, eps=epsilon
        ),
        {"zeros": Edge(Case(np.zeros((2, 3)))),
         "small numbers": Edge(Case(small)),
         "empty": Edge(Case(np.ones((0, 3))))},
    ),
    "group_norm": Operation(
        f.group_norm, group_norm, grouped,
        in_torch(lambda x, *parameters, groups: torch.nn.functional.group_norm(
            x, groups, *parameters, eps=1e-6
        )),
        {"small numbers": Edge(Case(small, groups=1)),
         "empty": Edge(Case(np.ones((0, 2)), groups=2), np.ones((0, 2))),
         "no images": Edge(Case(MANY, FEW, FEW, groups=1), MANY),
         "groups of one": Edge(Case(np.ones((2, 3)), groups=3), np.zeros((2, 3)))},
    ),
    "batch_norm": Operation(
        lambda x, scale, bias, **options: f.batch_norm(
            x, scale, bias, 0 * scale, 0 * scale, train=True, **options
        )[0],
        batch_norm, batch_case,
        in_torch(lambda x, scale, bias, epsilon: torch.nn.functional.batch_norm(
            x, None, None, scale, bias, training=True, eps=epsilon
        )),
        {"one example": Edge(Case(np.ones((1, 2)), FEW, 3 * FEW), 3 * np.ones((1, 2))),
         "small numbers": Edge(Case(small.T, FEW[:1], FEW[:1])),
         "a large mean": Edge(Case(close_to_large.T, FEW[:1], 0 * FEW[:1]),
                              batch_norm(np.arange(4.0)[:, None], 1, 0)),
         "empty": Edge(Case(MANY, FEW, FEW), MANY)},
    ),
    "batch_norm statistics": Operation(
        lambda mean, var, x, **options: f.batch_norm(
            np.asarray(x, np.float32), np.ones(mean.shape), np.ones(mean.shape), mean, var,
            train=True, **options,
        )[1],
        statistics, statistics_case, half=np.float32,
        edges={"the default momentum": Edge(Case(3 * FEW, 5 * FEW, x=np.arange(8.0).reshape(4, 2))),
               "empty": Edge(Case(3 * FEW, 5 * FEW, x=MANY))},
    ),
    "batch_norm evaluation": Operation(
        lambda *operands: f.batch_norm(*operands, train=False)[0], evaluated, evaluation_case,
        edges={"small variances": Edge(Case(small, *[np.ones(4)] * 3, np.full(4, 1e-5))),
               "empty": Edge(Case(MANY, FEW, FEW, FEW, FEW), MANY)},
    ),
    "drop_norm": Operation(
        lambda *operands, **options: f.drop_norm(*operands, train=True, key=KEY, **options),
        drop_norm, drop_norm_case,
        edges={"small numbers": Edge(Case(small, np.ones(4), np.ones(4), rate=0)),
               "one feature, or none": Edge(Case(np.ones((20, 1)), FEW[:1], FEW[:1], rate=0.9)),
               "empty": Edge(Case(np.ones((0, 2)), FEW, FEW, rate=0.5))},
    ),
    "expand_as": Operation(
        lambda x, shape: f.expand_as(x, np.zeros(shape, np.float32)),
        lambda x, shape: np.broadcast_to(x, shape), expand_case,
        lambda x, shape: x.expand(shape),
        {"empty": Edge(Case(np.ones((1, 3)), shape=(0, 3)))},
    ),
    "broadcast_tensors": Operation(
        f.broadcast_tensors, lambda *arrays: np.broadcast_arrays(*arrays), broadcast_case,
        lambda *arrays: torch.broadcast_tensors(*arrays),
        {"empty": Edge(Case(np.ones((0, 1)), np.ones(3)))},
    ),
}  # fmt: skip
