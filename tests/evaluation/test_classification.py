"""Confusion, precision and recall against scikit-learn; the order of mistakes."""

import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sklearn_metrics

from dl_jax.evaluation import (
    confusion_matrix,
    most_confident_mistakes,
    precision_recall,
)


@st.composite
def labeled(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    """Labels, predictions and the number of classes, some of which may never occur."""
    classes = draw(st.integers(2, 6))  # of one class scikit-learn warns
    count = draw(st.integers(1, 40))
    dtype = draw(st.sampled_from([np.uint8, np.int32, np.int64]))
    indices = hnp.arrays(dtype, count, elements=st.integers(0, classes - 1))
    return draw(indices), draw(indices), classes


@given(labeled())
def test_confusion_matrix_equals_scikit_learn(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    labels, predictions, classes = case
    expected = sklearn_metrics.confusion_matrix(labels, predictions, labels=range(classes))
    np.testing.assert_array_equal(confusion_matrix(labels, predictions, classes), expected)


@given(labeled())
def test_precision_and_recall_equal_scikit_learn(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    labels, predictions, classes = case
    expected = sklearn_metrics.precision_recall_fscore_support(
        labels, predictions, labels=range(classes), zero_division=0.0
    )
    result = precision_recall(confusion_matrix(labels, predictions, classes))
    for mine, theirs in zip(result, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)


def test_uint8_labels_do_not_overflow() -> None:
    labels = np.array([199, 3], np.uint8)
    matrix = confusion_matrix(labels, labels, 200)
    assert matrix[199, 199] == matrix[3, 3] == 1
    assert matrix.sum() == 2


def test_rows_are_true_and_columns_predicted() -> None:
    assert confusion_matrix(np.array([0]), np.array([1]), 2).tolist() == [[0, 1], [0, 0]]


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(0, 30))
def test_mistakes_are_all_wrong_and_the_most_confident_of_them(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    # Few different values, so that there are ties.
    scores = rng.integers(1, 4, (25, 3)).astype(np.float64)
    probabilities = scores / scores.sum(1, keepdims=True)
    labels = rng.integers(0, 3, 25)
    found = most_confident_mistakes(probabilities, labels, count)
    ranking = sorted(
        (-max(row), index)
        for index, (row, label) in enumerate(zip(probabilities.tolist(), labels, strict=True))
        if row.index(max(row)) != label
    )
    assert found.tolist() == [index for _, index in ranking[:count]]


SCORES, LABELS = np.array([[0.5, 0.5], [0.25, 0.75]]), np.array([0, 1])


def mistakes(scores: np.ndarray, labels: np.ndarray, count: int = 1) -> np.ndarray:
    return most_confident_mistakes(scores, labels, count)


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: mistakes(SCORES, np.array([0, 1, 1])),
            "shape (2, 2) do not match labels of shape",
        ),
        (lambda: mistakes(SCORES, np.array([0, 2])), "lie in [0, 2], expected class indices"),
        (lambda: mistakes(SCORES[:0], LABELS[:0]), "at least one integer"),
        (lambda: mistakes(SCORES, np.array([0.0, 1.0])), "labels are float64"),
        (lambda: confusion_matrix(LABELS, LABELS[:1], 2), "do not match predictions of shape (1,)"),
        (lambda: confusion_matrix(LABELS, np.array([-1, 0]), 2), "predictions lie in [-1, 0]"),
        (
            lambda: precision_recall(np.ones((2, 3), int)),
            "shape (2, 3), expected [classes, classes",
        ),
        (
            lambda: precision_recall(np.ones((0, 0), int)),
            "shape (0, 0), expected [classes, classes",
        ),
        (lambda: precision_recall(np.array([[3, -1], [0, 2]])), "holds -1 .. 3, expected counts"),
        (lambda: precision_recall(np.array([[3, np.nan], [0, 2]])), "nan, expected counts"),
        (lambda: precision_recall(np.array([[3, np.inf], [0, 2]])), "inf, expected counts"),
        (lambda: mistakes(SCORES * 4, LABELS), "to_probabilities"),
        (lambda: mistakes(SCORES * np.nan, LABELS), "expected distributions"),
        (lambda: mistakes(SCORES, LABELS, -1), "count is -1"),
        (lambda: mistakes(SCORES[None], LABELS), "of one replica"),
    ],
)
def test_invalid_arguments_are_refused_in_one_sentence(
    call: Callable[[], object], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        call()
    assert "\n" not in str(caught.value)
