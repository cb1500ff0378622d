"""Masked examples leave no trace, and microbatches make the step of the whole batch."""

import jax
import numpy as np
import optax
import pytest

from dl_jax.errors import UsageError
from dl_jax.functional import cross_entropy, l2_loss
from dl_jax.learners import supervised
from dl_jax.models import chain, flatten, linear, norm
from tests.learners.problem import (
    SGD,
    close,
    evaluate,
    make_batch,
    make_cnn,
    make_dropping_mlp,
    make_learner,
    make_mlp,
    one_step,
    started,
)

MASK = np.array([1, 1, 0, 1, 1, 0, 1, 0], np.float32)
SMALLER = {name: array[MASK != 0] for name, array in make_batch().items()}
FILLINGS = {"number": 7.0, "nan": np.nan, "infinity": np.inf}


def masked(filling):
    batch = make_batch(mask=MASK)
    keep = MASK.reshape(-1, 1, 1, 1) != 0
    return {**batch, "image": np.where(keep, batch["image"], np.float32(filling))}


@pytest.mark.parametrize("filling", FILLINGS.values(), ids=FILLINGS)
@pytest.mark.parametrize(
    ("make_model", "microbatches"), [(make_mlp, 1), (make_mlp, 4), (make_cnn, 2)]
)
def test_masked_examples_have_no_influence(make_model, microbatches, filling):
    """Whatever stands in them: the step is that of a batch without them."""
    learner = make_learner(make_model, SGD, microbatches=microbatches)
    reference = make_learner(make_model, SGD)
    actual = one_step(learner, masked(filling))
    close(actual, one_step(reference, SMALLER), 2e-5)
    assert actual[1].counts["loss"] == 5
    if microbatches == 1:
        state = started(learner)
        close(evaluate(learner, state, masked(filling)), evaluate(reference, state, SMALLER))


def test_masked_targets_may_be_anything():
    learner = supervised(make_mlp(), l2_loss, optax.sgd(0.1), metrics={}, targets="target")
    targets = np.where(MASK.reshape(-1, 1) != 0, np.float32(1), np.full((8, 3), np.nan, np.float32))
    state, metrics = one_step(learner, {**make_batch(mask=MASK), "target": targets})
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))
    assert np.isfinite(metrics.means()["loss"])


@pytest.mark.parametrize("mask", [MASK, np.ones(8, np.float32), np.zeros(8, np.float32)],
                         ids=["some", "all", "none"])  # fmt: skip
def test_what_counts_is_what_the_mask_says(mask):
    """Labels outside of the classes do no harm where it is 0; of none, nothing is learned."""
    learner, batch = make_learner(make_mlp, SGD), make_batch(mask=mask)
    outside = {**batch, "label": np.where(mask != 0, batch["label"], 255)}
    state, metrics = one_step(learner, outside)
    assert metrics.counts["loss"] == metrics.counts["accuracy"] == mask.sum()
    if mask.all():
        close((state, metrics), one_step(learner, make_batch()))
    elif mask.any():
        close((state, metrics), one_step(learner, SMALLER))
    else:
        close(state.params, started(learner).params)
        assert metrics.sums["loss"] == 0


@pytest.mark.parametrize(
    ("make_model", "microbatches"), [(make_mlp, 2), (make_mlp, 4), (make_cnn, 4)]
)
def test_microbatches_give_the_step_of_the_whole_batch(make_model, microbatches):
    learner = make_learner(make_model, SGD, microbatches=microbatches)
    whole = one_step(make_learner(make_model, SGD), make_batch())
    close(one_step(learner, make_batch()), whole, 1e-6)


def test_microbatches_draw_their_own_dropout():
    """Two equal halves of a batch are dropped differently."""
    half, model = make_batch(4), make_dropping_mlp()
    twice = jax.tree.map(lambda a: np.concatenate([a, a]), half)
    learner = make_learner(make_dropping_mlp, microbatches=2)
    _, whole = one_step(learner, twice)
    assert whole.counts["loss"] == 8
    state = started(learner)

    @jax.jit
    def loss_of(index):
        key = jax.random.fold_in(jax.random.fold_in(state.key, 0), index)
        _, model_key = jax.random.split(key)
        logits, _ = model.apply(state.params, {}, half["image"], train=True, key=model_key)
        return cross_entropy(logits, half["label"]).sum()

    first, second = loss_of(0), loss_of(1)
    assert abs(first - second) > 1e-3
    np.testing.assert_allclose(whole.sums["loss"], first + second, rtol=1e-5)


def make_normalized():
    return chain({"norm": norm(1, momentum=0.5), "flatten": flatten, "head": linear(16, 3)})


def test_running_statistics_pass_from_microbatch_to_microbatch():
    state, _ = one_step(make_learner(make_normalized, microbatches=2), make_batch())
    means = [np.mean(make_batch()["image"][i : i + 4]) for i in (0, 4)]
    expected = [0.25 * means[0] + 0.5 * means[1]]
    np.testing.assert_allclose(state.model_state["norm"]["mean"], expected, rtol=1e-5)


def test_microbatches_that_do_not_divide_the_batch():
    learner = make_learner(microbatches=3)
    with pytest.raises(UsageError, match="8 examples cannot be split into 3"):
        jax.eval_shape(learner.train_step, started(make_learner()), make_batch())


@pytest.mark.parametrize("count", [0, -1, 1.5])
@pytest.mark.usefixtures("without_type_checks")
def test_a_count_of_microbatches_out_of_range_is_refused(count):
    with pytest.raises(UsageError, match=f"microbatches is {count}, expected"):
        make_learner(microbatches=count)
