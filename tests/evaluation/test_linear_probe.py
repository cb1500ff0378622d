"""The linear probe, against scikit-learn's logistic regression."""

import numpy as np
import pytest
import scipy.special
from sklearn.linear_model import LogisticRegression

from dl_jax.errors import UsageError
from dl_jax.evaluation import fit_linear_probe, probe_accuracy

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 3, 200)
FEATURES = RNG.normal(size=(200, 6)) * np.array([1, 10, 0.1, 1, 1, 1]) + 5 + 0.3 * LABELS[:, None]


@pytest.mark.parametrize("penalty", [1e-3, 1e-1])
def test_it_is_that_of_scikit_learn(penalty):
    probe = fit_linear_probe(FEATURES, LABELS, 3, penalty=penalty)
    standardized = (FEATURES - FEATURES.mean(0)) / FEATURES.std(0)
    reference = LogisticRegression(C=1 / (penalty * 200), tol=1e-9, max_iter=10_000)
    reference.fit(standardized, LABELS)
    np.testing.assert_allclose(
        scipy.special.softmax(probe.logits(FEATURES), -1),
        reference.predict_proba(standardized),
        atol=1e-3,
    )
    assert probe.accuracy(FEATURES, LABELS) == reference.score(standardized, LABELS) < 1


def test_scales_and_shifts_of_features_change_nothing():
    a = fit_linear_probe(FEATURES, LABELS, 3).logits(FEATURES)
    moved = 1000 + 1e-3 * FEATURES
    np.testing.assert_allclose(fit_linear_probe(moved, LABELS, 3).logits(moved), a, atol=1e-3)


def test_a_feature_that_does_not_vary_counts_for_nothing():
    constant = np.hstack([FEATURES, np.full((200, 1), 0.1, np.float32)])
    probe = fit_linear_probe(constant, LABELS, 3)
    np.testing.assert_allclose(probe.kernel[-1], 0)
    constant[:, -1] = 1e6
    expected = fit_linear_probe(FEATURES, LABELS, 3).logits(FEATURES)
    np.testing.assert_allclose(probe.logits(constant), expected, atol=1e-4)


def test_a_class_without_examples_is_never_predicted():
    probe = fit_linear_probe(FEATURES, LABELS, 4)
    assert probe.kernel.shape == (6, 4)
    assert 3 not in probe.logits(FEATURES).argmax(-1)


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize(
    ("features", "labels", "options", "said"),
    [
        (FEATURES[:3], LABELS[:2], {}, "3 features and 2 labels, expected as many"),
        (FEATURES[:0], LABELS[:0], {}, "expected as many, and at least one"),
        (FEATURES, LABELS + 1, {}, "labels are 1 to 3, expected 0 to 2"),
        (FEATURES * np.nan, LABELS, {}, "not all finite"),
        (FEATURES, LABELS, {"penalty": -1.0}, "penalty is -1"),
    ],
)
def test_what_cannot_be_fitted_is_refused(features, labels, options, said):
    with pytest.raises(UsageError, match=said):
        fit_linear_probe(features, labels, 3, **options)


def test_the_penalty_is_chosen_on_the_validation_split():
    """By labels that say which: where validation is the training, the smaller fits it better."""
    features = {"train": FEATURES[:20], "validation": FEATURES[:20], "test": FEATURES[20:]}
    labels = {"train": LABELS[:20], "validation": LABELS[:20], "test": LABELS[20:]}
    small, large = (
        fit_linear_probe(FEATURES[:20], LABELS[:20], 3, penalty=penalty) for penalty in (1e-6, 1e3)
    )
    assert small.accuracy(FEATURES[:20], LABELS[:20]) > large.accuracy(FEATURES[:20], LABELS[:20])
    found = probe_accuracy(features, labels, 3, penalties=(1e3, 1e-6))
    assert found == small.accuracy(FEATURES[20:], LABELS[20:])
    assert found != large.accuracy(FEATURES[20:], LABELS[20:])
    with pytest.raises(UsageError, match="no penalties"):
        probe_accuracy(features, labels, 3, penalties=())
