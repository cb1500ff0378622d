"""Classes from numbers: which of several intervals a value lies in."""

import numpy as np
from jaxtyping import Float, Int

from dl_jax.errors import UsageError, check_range


def quantile_edges(values: Float[np.ndarray, " values"], bins: int) -> Float[np.ndarray, " inner"]:
    """The inner edges of intervals that hold equally many of the values: their quantiles.

    `edge_k = Q(k / bins)` for `k = 1 .. bins - 1`. Edges that coincide, where a value occurs very
    often, are one edge, so that there can be fewer intervals than asked for.

    Raises:
        UsageError: there are fewer than two bins, or not two different values.

    >>> quantile_edges(np.array([1.0, 2.0, 3.0, 100.0]), 2).tolist()
    [2.5]
    """
    low, _ = _range(values, bins)
    edges = np.unique(np.quantile(values, np.arange(1, bins) / bins))
    return edges[edges > low]


def uniform_edges(values: Float[np.ndarray, " values"], bins: int) -> Float[np.ndarray, " inner"]:
    """The inner edges of intervals that cut the range of the values into equal parts.

    `edge_k = min + k / bins * (max - min)` for `k = 1 .. bins - 1`.

    Raises:
        UsageError: there are fewer than two bins, or not two different values.

    >>> uniform_edges(np.array([1.0, 2.0, 3.0, 101.0]), 2).tolist()
    [51.0]
    """
    return np.linspace(*_range(values, bins), bins + 1)[1:-1]


def digitize(
    values: Float[np.ndarray, " values"], edges: Float[np.ndarray, " inner"]
) -> Int[np.ndarray, " values"]:
    """Number of the interval of each value, 0 to the number of inner edges, int32.

    An edge belongs to the interval above it; values beyond the range that the edges came from
    belong to the first or the last.

    >>> digitize(np.array([-9.0, 2.0, 3.0]), np.array([2.0, 2.5])).tolist()
    [0, 1, 2]
    """
    return np.searchsorted(edges, values, side="right").astype(np.int32)


def _range(values: Float[np.ndarray, " values"], bins: int) -> tuple[float, float]:
    check_range("bins", bins, low=2)
    if values.size == 0 or values.min() == values.max():
        raise UsageError("all values are the same, expected at least two that can be told apart")
    return float(values.min()), float(values.max())
