"""Elementwise activations and the softmax family."""

import numpy as np
import scipy.special
from hypothesis import strategies as st

from dl_jax import functional as f
from tests.functional.harness import Case, Edge, Operation, leading, sizes, torch


def rows_of_numbers(draw, random, **options):
    return Case(3 * random.normal(size=draw(leading)), **options)


def at_extremes(below, at_zero, above):
    """Numbers up to the largest, and the slopes below, at and above zero."""
    x = np.array([-1e30, -1e4, -100.0, -0.0, 0.0, 100.0, 1e4, 1e30])
    slope = np.where(x < 0, below, np.where(x > 0, above, at_zero))
    return {"extremes": Edge(Case(x), gradients=(slope,)), "empty": Edge(Case(np.ones((0, 3))))}


def logits(draw, random):
    x = draw(st.sampled_from((3, 30))) * random.normal(size=(*draw(leading), draw(sizes)))
    return Case(x, axis=draw(st.integers(-x.ndim, x.ndim - 1)))


def softmax_edges(value_of_extremes, value_of_masked):
    return {
        "extremes": Edge(Case(np.array([[-1e4, 0, 1e4], [1e30, 1e30, -1e30]])), value_of_extremes),
        "masked": Edge(Case(np.array([1, -np.inf, 2])), value_of_masked),
        "one class": Edge(Case(np.ones((2, 1)))),
        "no classes": Edge(Case(np.ones((3, 0))), np.ones((3, 0))),
        "no rows": Edge(Case(np.ones((0, 3))), np.ones((0, 3))),
        "no rows, by columns": Edge(Case(np.ones((0, 3)), axis=0), np.ones((0, 3))),
    }


first, second = 1 / (1 + np.e), np.e / (1 + np.e)

ROWS = {
    "relu": Operation(
        f.relu,
        lambda x: np.maximum(x, 0),
        rows_of_numbers,
        lambda x: x.relu(),
        at_extremes(0, 0, 1),
    ),
    "leaky_relu": Operation(
        f.leaky_relu,
        lambda x, negative_slope=0.01: np.where(x > 0, x, negative_slope * x),
        lambda draw, random: rows_of_numbers(
            draw, random, negative_slope=draw(st.sampled_from((0.2, 0.5)))
        ),
        lambda x, **options: torch.nn.functional.leaky_relu(x, **options),
        at_extremes(0.01, 0.01, 1),
    ),
    "elu": Operation(
        f.elu,
        lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
        lambda draw, random: rows_of_numbers(draw, random, alpha=draw(st.sampled_from((2.0, 0.5)))),
        lambda x, **options: torch.nn.functional.elu(x, **options),
        at_extremes(0, 1, 1),
    ),
    "softplus": Operation(
        f.softplus,
        lambda x: np.logaddexp(x, 0),
        rows_of_numbers,
        lambda x: torch.nn.functional.softplus(x),
        at_extremes(0, 0.5, 1),
    ),
    "tanh": Operation(f.tanh, np.tanh, rows_of_numbers, lambda x: x.tanh(), at_extremes(0, 1, 0)),
    "sigmoid": Operation(
        f.sigmoid,
        scipy.special.expit,
        rows_of_numbers,
        lambda x: x.sigmoid(),
        at_extremes(0, 0.25, 0),
    ),
    "gelu": Operation(
        f.gelu,
        lambda x: x * scipy.special.ndtr(x),
        rows_of_numbers,
        lambda x: torch.nn.functional.gelu(x),
        at_extremes(0, 0.5, 1),
    ),
    "silu": Operation(
        f.silu,
        lambda x: x * scipy.special.expit(x),
        rows_of_numbers,
        lambda x: torch.nn.functional.silu(x),
        at_extremes(0, 0.5, 1),
    ),
    "softmax": Operation(
        f.softmax,
        lambda x, axis=-1: scipy.special.softmax(x, axis),
        logits,
        lambda x, axis: x.softmax(axis),
        softmax_edges(np.array([[0, 0, 1], [0.5, 0.5, 0]]), np.array([first, 0, second])),
        half=np.float32,
    ),
    "log_softmax": Operation(
        f.log_softmax,
        lambda x, axis=-1: scipy.special.log_softmax(x, axis),
        logits,
        lambda x, axis: x.log_softmax(axis),
        softmax_edges(
            np.array([[-2e4, -1e4, 0], [-np.log(2), -np.log(2), -2e30]]),
            np.array([np.log(first), -np.inf, np.log(second)]),
        ),
        half=np.float32,
    ),
}
