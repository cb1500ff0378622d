"""Calibration against cases by hand and against a loop over the examples."""

import re
from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dl_jax.evaluation import calibration_error, reliability


def binary(confidences: list[float], right: list[bool]) -> tuple[np.ndarray, np.ndarray]:
    """Predictions of class 0 with these confidences (above 1/2), and the labels."""
    first = np.array(confidences)
    return np.stack([first, 1 - first], -1), np.where(right, 0, 1)


def test_reliability_of_a_case_by_hand() -> None:
    # Two bins of five: (0.6, 0.8] has confidence 0.7 and accuracy 1/2, (0.8, 1] has 0.9 and 1.
    probabilities, labels = binary([0.65, 0.75, 0.9, 0.9], [True, False, True, True])
    bins = reliability(probabilities, labels, bins=5)
    assert bins.counts.tolist() == [0, 0, 0, 2, 2]
    np.testing.assert_allclose(bins.accuracy, [np.nan, np.nan, np.nan, 0.5, 1.0])
    np.testing.assert_allclose(bins.confidence, [np.nan, np.nan, np.nan, 0.7, 0.9])
    np.testing.assert_allclose(bins.edges, [0, 0.2, 0.4, 0.6, 0.8, 1.0])
    expected = 0.5 * 0.2 + 0.5 * 0.1
    assert calibration_error(probabilities, labels, bins=5) == pytest.approx(expected)
    assert bins.error == pytest.approx(expected)


def test_error_is_0_for_certain_correct_and_1_for_certain_wrong_predictions() -> None:
    certain = np.eye(3)
    assert calibration_error(certain, np.array([0, 1, 2])) == 0
    assert calibration_error(certain, np.array([1, 2, 0])) == 1


def test_gaps_of_opposite_sign_cancel_within_a_bin_only() -> None:
    probabilities, labels = binary([0.7, 0.7, 0.9, 0.9], [True, True, False, True])
    # One bin: confidence 0.8, accuracy 3/4.
    assert calibration_error(probabilities, labels, bins=1) == pytest.approx(0.05)
    # Two of four bins: |1 - 0.7| and |1/2 - 0.9|, half the examples each.
    assert calibration_error(probabilities, labels, bins=4) == pytest.approx(0.35)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below() -> None:
    probabilities, labels = binary([0.75, 1.0], [True, True])
    assert reliability(probabilities, labels, bins=4).counts.tolist() == [0, 0, 1, 1]


@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(1, 20))
def test_calibration_error_is_the_sum_of_its_definition(seed: int, classes: int, bins: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(classes, 0.4), 60)
    labels = rng.integers(0, classes, 60)
    members: dict[int, list[tuple[float, bool]]] = {}
    for row, label in zip(probabilities.tolist(), labels.tolist(), strict=True):
        confidence = max(row)
        members.setdefault(ceil(confidence * bins), []).append(
            (confidence, row.index(confidence) == label)
        )
    expected = sum(
        len(group) / 60 * abs(sum(r for _, r in group) - sum(c for c, _ in group)) / len(group)
        for group in members.values()
    )
    assert calibration_error(probabilities, labels, bins) == pytest.approx(expected, abs=1e-12)
    assert reliability(probabilities, labels, bins).counts.sum() == 60


def test_a_probability_rounded_to_above_one_is_counted() -> None:
    probabilities = np.array([[np.nextafter(np.float32(1), np.float32(2)), 0]], np.float32)
    assert reliability(probabilities, np.array([0])).counts[-1] == 1


@pytest.mark.usefixtures("without_shape_checks")
def test_logits_and_zero_bins_are_refused() -> None:
    with pytest.raises(ValueError, match="convert logits with `to_probabilities` first"):
        calibration_error(np.array([[3.0, -1.0]]), np.array([0]))
    with pytest.raises(ValueError, match="bins is 0, expected at least 1"):
        calibration_error(np.array([[0.5, 0.5]]), np.array([0]), bins=0)
    with pytest.raises(ValueError, match=re.escape("do not match labels of shape (2,)")):
        calibration_error(np.array([[0.5, 0.5]]), np.array([0, 1]))
