"""Draws from a categorical distribution: their frequencies, by a chi-square test."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from dl_jax.functional import multinomial

P = np.array([0.5, 0.3, 0.15, 0.05])


def test_frequencies_with_replacement_are_the_probabilities():
    draws = multinomial(
        jax.random.key(0), jnp.asarray(7 * P, jnp.float32), 20_000, replacement=True
    )
    counts = np.bincount(np.asarray(draws), minlength=4)
    assert scipy.stats.chisquare(counts, 20_000 * P).pvalue > 1e-3
    wrong = scipy.stats.chisquare(counts, 20_000 * np.array([0.48, 0.32, 0.15, 0.05]))
    assert wrong.pvalue < 1e-3  # the test would notice


def test_pairs_without_replacement_have_their_probabilities():
    """The first is drawn from p, the second from what p leaves."""
    draws = np.asarray(
        multinomial(
            jax.random.key(1),
            jnp.asarray(np.tile(P, (30_000, 1)), jnp.float32),
            2,
            replacement=False,
        )
    )
    assert (draws[:, 0] != draws[:, 1]).all()
    pairs = [(a, b) for a in range(4) for b in range(4) if a != b]
    counts = [((draws[:, 0] == a) & (draws[:, 1] == b)).sum() for a, b in pairs]
    expected = [30_000 * P[a] * P[b] / (1 - P[a]) for a, b in pairs]
    assert scipy.stats.chisquare(counts, expected).pvalue > 1e-3


@pytest.mark.parametrize("replacement", [True, False])
def test_classes_of_probability_zero_are_not_drawn(replacement):
    draws = multinomial(
        jax.random.key(2), jnp.array([[0.0, 1.0, 0.0, 2.0]] * 500), 2, replacement=replacement
    )
    assert draws.shape == (500, 2)
    assert set(np.unique(draws)) == {1, 3}


def test_all_classes_without_replacement_are_a_permutation():
    draws = multinomial(jax.random.key(3), jnp.asarray(P, jnp.float32), 4, replacement=False)
    assert sorted(draws.tolist()) == [0, 1, 2, 3]


def test_impossible_numbers_of_samples_are_refused():
    with pytest.raises(ValueError, match="5 draws without replacement .* there are 4"):
        multinomial(jax.random.key(0), jnp.ones(4), 5, replacement=False)
    with pytest.raises(ValueError, match="num_samples is 0"):
        multinomial(jax.random.key(0), jnp.ones(4), 0, replacement=True)


def test_no_distributions_have_no_draws():
    draws = multinomial(jax.random.key(0), jnp.ones((0, 3)), 2, replacement=False)
    assert draws.shape == (0, 2)
