"""Participation ratio, nearest class means and kernel alignment, against their definitions."""

import numpy as np
import pytest
from sklearn.neighbors import NearestCentroid

from dl_jax.errors import UsageError
from dl_jax.evaluation import linear_cka, nearest_class_mean_accuracy, participation_ratio

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(50, 6)) * np.array([3, 2, 1, 1, 0.5, 0.1])


@pytest.mark.parametrize("features", [FEATURES, FEATURES[:4]], ids=["many", "few"])
def test_participation_ratio_is_that_of_the_eigenvalues(features):
    eigenvalues = np.linalg.eigvalsh(np.cov(features, rowvar=False))
    expected = eigenvalues.sum() ** 2 / (eigenvalues**2).sum()
    np.testing.assert_allclose(participation_ratio(features), expected)
    assert participation_ratio(7 * features - 3) == pytest.approx(expected)


def test_participation_ratio_counts_directions():
    line = np.outer(np.arange(9.0), [1, -2, 3])
    np.testing.assert_allclose(participation_ratio(line), 1)
    corners = np.vstack([np.eye(5), -np.eye(5)])
    np.testing.assert_allclose(participation_ratio(corners), 5)


def test_nearest_class_means_are_those_of_scikit_learn():
    labels = RNG.choice([1, 4, 7], 50)
    features = FEATURES + labels[:, None] / 4
    reference = NearestCentroid().fit(features[:30], labels[:30])
    expected = reference.score(features[30:], labels[30:])
    found = nearest_class_mean_accuracy(features[:30], labels[:30], features[30:], labels[30:])
    assert found == pytest.approx(expected)
    assert 0.4 < expected < 1


def test_alignment_is_that_of_the_gram_matrices():
    other = np.tanh(FEATURES @ RNG.normal(size=(6, 9)))
    center = np.eye(50) - 1 / 50
    k, m = (center @ x @ x.T @ center for x in (FEATURES, other))
    expected = (k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum())
    np.testing.assert_allclose(linear_cka(FEATURES, other), expected)
    assert 0 < expected < 1


def test_alignment_does_not_see_rotations_scales_and_shifts():
    rotation, _ = np.linalg.qr(RNG.normal(size=(6, 6)))
    np.testing.assert_allclose(linear_cka(FEATURES, 3 * FEATURES @ rotation + 1), 1)
    many = RNG.normal(size=(4000, 5))
    assert linear_cka(many, RNG.normal(size=(4000, 5))) < 0.01


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: participation_ratio(FEATURES[:1]), "1 examples, expected at least two"),
        (lambda: participation_ratio(np.ones((3, 2))), "the same features"),
        (lambda: linear_cka(FEATURES, FEATURES[:4]), "50 and 4 examples"),
        (lambda: linear_cka(FEATURES, np.ones((50, 2))), "the same features"),
        (
            lambda: nearest_class_mean_accuracy(
                FEATURES[:0], np.arange(0), FEATURES, np.zeros(50, int)
            ),
            "there are no examples",
        ),
    ],
)
def test_what_says_nothing_is_refused(call, said):
    with pytest.raises(UsageError, match=said):
        call()
