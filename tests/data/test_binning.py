"""Bins of equal counts and of equal widths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.preprocessing import KBinsDiscretizer

from dl_jax.data import digitize, quantile_edges, uniform_edges
from dl_jax.errors import UsageError

# Of a grid: scikit-learn merges edges that lie closer together than 1e-8.
grid = st.integers(-8000, 8000).map(lambda number: number / 8)
values = arrays(np.float64, st.integers(20, 60), elements=grid, unique=True)


@pytest.mark.parametrize("find", [quantile_edges, uniform_edges])
@given(values, st.integers(2, 9))
def test_against_scikit_learn(find, values, bins: int):
    strategy = "quantile" if find is quantile_edges else "uniform"
    options = {"quantile_method": "linear"} if strategy == "quantile" else {}
    reference = KBinsDiscretizer(
        bins, encode="ordinal", strategy=strategy, subsample=None, **options
    )
    reference.fit(values[:, None])
    edges = reference.bin_edges_[0]
    np.testing.assert_allclose(find(values, bins), edges[1:-1], rtol=1e-9, atol=1e-9)


@given(values, st.integers(2, 9))
def test_quantile_bins_have_about_equal_counts(values, bins: int):
    edges = quantile_edges(values, bins)
    counts = np.bincount(digitize(values, edges), minlength=len(edges) + 1)
    assert counts.sum() == len(values)
    if len(edges) == bins - 1:
        assert counts.max() - counts.min() <= 2


def test_repeated_values_share_a_bin():
    values = np.array([0.0] * 50 + [1.0, 2.0, 3.0, 4.0])
    edges = quantile_edges(values, 10)
    labels = digitize(values, edges)
    assert len(set(labels[:50].tolist())) == 1
    assert labels.min() == 0  # no bin lies below all values


@pytest.mark.parametrize("find", [quantile_edges, uniform_edges])
def test_impossible_bins_are_refused(find):
    with pytest.raises(UsageError, match="bins is 1, expected at least 2"):
        find(np.arange(5.0), 1)
    for nothing in (np.ones(5), np.zeros(0)):
        with pytest.raises(UsageError, match="all values are equal"):
            find(nothing, 3)
    with pytest.raises(UsageError, match="a value is NaN or infinite"):
        find(np.array([0.0, np.nan, 1.0]), 3)
