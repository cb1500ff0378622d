"""Discretization: classes from numbers, by quantile or uniform bins."""

import numpy as np
from jaxtyping import Float, Int

from dl_jax.errors import UsageError, check_integer


def quantile_edges(values: Float[np.ndarray, " values"], bins: int) -> Float[np.ndarray, " inner"]:
    """Inner edges of bins with equal counts: quantiles of the values.

    `edge_k = Q(k / bins)` for `k = 1 .. bins - 1`. Edges that coincide, because a value is very
    frequent, are merged: there may be fewer than `bins` bins.

    Raises:
        UsageError: `bins` is less than 2, all values are equal, or one is not finite.

    >>> quantile_edges(np.array([1.0, 2.0, 3.0, 100.0]), 2).tolist()
    [2.5]
    """
    low, _ = _range(values, bins)
    edges = np.unique(np.quantile(values, np.arange(1, bins) / bins))
    return edges[edges > low]


def uniform_edges(values: Float[np.ndarray, " values"], bins: int) -> Float[np.ndarray, " inner"]:
    """Inner edges of bins with equal widths over the range of the values.

    `edge_k = min + k / bins * (max - min)` for `k = 1 .. bins - 1`.

    Raises:
        UsageError: `bins` is less than 2, all values are equal, or one is not finite.

    >>> uniform_edges(np.array([1.0, 2.0, 3.0, 101.0]), 2).tolist()
    [51.0]
    """
    return np.linspace(*_range(values, bins), bins + 1)[1:-1]


def digitize(
    values: Float[np.ndarray, " values"], edges: Float[np.ndarray, " inner"]
) -> Int[np.ndarray, " values"]:
    """Index of the bin of each value, from 0 to the number of inner edges, int32.

    A value equal to an edge belongs to the bin above it. Values beyond the range that the edges
    were computed from belong to the first or last bin.

    >>> digitize(np.array([-9.0, 2.0, 3.0]), np.array([2.0, 2.5])).tolist()
    [0, 1, 2]
    """
    return np.searchsorted(edges, values, side="right").astype(np.int32)


def _range(values: Float[np.ndarray, " values"], bins: int) -> tuple[float, float]:
    check_integer("bins", bins, low=2)
    if not np.isfinite(values).all():
        raise UsageError("a value is NaN or infinite, expected finite values")
    if values.size == 0 or values.min() == values.max():
        raise UsageError("all values are equal, expected at least two different ones")
    return float(values.min()), float(values.max())
