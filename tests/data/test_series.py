"""Series: targets are the next numbers, splits follow each other in time, and what is refused."""

import re

import numpy as np
import pytest

from dl_jax.data import SERIES, load_series
from dl_jax.data.series import autoregressive
from dl_jax.errors import UsageError


@pytest.mark.parametrize("name", SERIES)
def test_targets_are_the_next_numbers_and_the_test_lies_behind_the_training(name):
    if name == "sunspots":
        pytest.importorskip("statsmodels")
    data = load_series(name, length=400, window=20)
    whole = SERIES[name](400, 0)
    train = whole[: round(0.7 * len(whole))]
    whole = ((whole - train.mean()) / train.std()).astype(np.float32)
    starts = []
    for split in data.values():
        series, target = split.arrays["series"], split.arrays["target"]
        assert series.shape == target.shape == (len(split), 20, 1)
        np.testing.assert_array_equal(series[:, 1:], target[:, :-1])
        np.testing.assert_array_equal(series[1:, 0], series[:-1, 1])
        (places,) = np.nonzero(np.isclose(whole, series[0, 0, 0], atol=1e-6))
        starts.append([p for p in places if np.allclose(whole[p : p + 20], series[0, :, 0])])
    assert [start[0] for start in starts] == [round(share * len(whole)) for share in (0, 0.7, 0.85)]


def test_the_autoregressive_series_has_its_coefficients():
    x = autoregressive(20_000, 0)
    lags = np.stack([x[1:-1], x[:-2]], axis=-1)
    coefficients, *_ = np.linalg.lstsq(lags, x[2:], rcond=None)
    np.testing.assert_allclose(coefficients, [1.6, -0.9], atol=0.02)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("sins", {}, "series is 'sins', expected one of autoregressive, sines, sunspots; did you"),
        ("sines", {"length": 100, "window": 20}, "the validation split of 'sines' has 15 steps"),
        ("sines", {"length": 100, "window": 14}, "has 15 steps, expected at least 16"),
        ("sines", {"window": 0}, "window is 0"),
    ],
)
def test_what_is_no_series_is_said(name, options, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        load_series(name, **options)
