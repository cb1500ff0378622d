"""Baselines of music against a case by hand, a loop over the notes, and what must hold."""

import numpy as np
import pytest

from dl_jax.evaluation import fit_note_baselines, note_loss

RANGES = (range(2, 5), range(5, 7))
TRAIN = np.array([1, 2, 5, 2, 5, 2, 6, 1, 3, 5])
BEGINS = TRAIN == 1


def test_counts_of_a_case_by_hand():
    fitted = fit_note_baselines(TRAIN, BEGINS, RANGES)
    np.testing.assert_allclose(fitted.shares[0], np.array([4, 2, 1]) / 7)
    np.testing.assert_allclose(fitted.shares[1], np.array([4, 2]) / 6)
    np.testing.assert_allclose(fitted.repeats, [3 / 4, 2 / 4])
    loss = note_loss(fitted, np.array([1, 2, 5, 3, 5]), np.array([True, *[False] * 4]))
    assert loss.unigram == pytest.approx(-np.log(4 / 7 * 2 / 7) / 2 - np.log(4 / 6))
    first, second = 4 / 7 * 4 / 6, 1 / 4 * (2 / 7) / (3 / 7) * 2 / 4
    assert loss.repeat == pytest.approx(-np.log(first * second) / 2)


def test_losses_are_those_of_a_loop_and_probabilities_sum_to_one():
    rng = np.random.default_rng(0)
    pieces = [
        np.stack([rng.integers(known.start, known.stop, steps) for known in RANGES], -1)
        for steps in (7, 1, 12)
    ]
    tokens = np.concatenate([[1, *piece.ravel()] for piece in pieces])
    fitted = fit_note_baselines(TRAIN, BEGINS, RANGES)
    unigram = repeat = 0.0
    for piece in pieces:
        for voice, (known, share) in enumerate(zip(RANGES, fitted.shares, strict=True)):
            again, last = fitted.repeats[voice], None
            for note in piece[:, voice].tolist():
                unigram -= np.log(share[note - known.start])
                chances = share
                if last is not None:
                    others = np.where(np.arange(len(share)) == last, 0, share)
                    chances = (1 - again) * others / others.sum()
                    chances[last] = again
                assert chances.sum() == pytest.approx(1)
                last = note - known.start
                repeat -= np.log(chances[last])
    loss = note_loss(fitted, tokens, tokens == 1)
    np.testing.assert_allclose(loss, np.array([unigram, repeat]) / 20)


def test_notes_that_are_held_are_better_told_by_repeating():
    notes = np.repeat([[2, 5], [3, 6], [4, 5]] * 4, 6, axis=0)
    tokens = np.array([1, *notes.ravel()])
    loss = note_loss(fit_note_baselines(tokens, tokens == 1, RANGES), tokens, tokens == 1)
    assert loss.repeat < 0.6 * loss.unigram


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        ([1, 2, 5, 2], "are no steps of 2 notes: expected whole pieces"),
        ([1], "are no steps of 2 notes"),
        ([1, 2, 5, 5, 2], "token 5 in step 1 is none of voice 0, expected 2 to 4"),
    ],
)
def test_what_are_no_pieces_is_said(tokens, said):
    tokens = np.array(tokens)
    with pytest.raises(ValueError, match=said):
        fit_note_baselines(tokens, tokens == 1, RANGES)
