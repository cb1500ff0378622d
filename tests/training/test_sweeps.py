"""Replicas that train together are the runs that each would be alone."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.learners import REPLICATED, local_mesh, over_hyperparameters, over_seeds, sharded
from dl_jax.training import Fitted, fit
from tests.training.tiny import (
    Trained,
    assert_close,
    assert_same_bits,
    rows_of,
    tiny_config,
    tiny_data,
    tiny_learner,
    tiny_run,
    unsaved_config,
)

RATES = [1e-2, 1e-1]


def test_several_seeds_are_the_single_runs(tmp_path: Path, two_seeds: Trained):
    """The first of two is the run of one."""
    one = fit(tiny_learner(seeds=1), tiny_data(), unsaved_config(), tiny_run(tmp_path))
    many = two_seeds.fitted.state.params
    assert_close(jax.tree.map(lambda leaf: leaf[:1], many), one.state.params)
    assert not any(np.allclose(*leaf) for leaf in jax.tree.leaves(many))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, two_seeds: Trained) -> list[Fitted]:
    """Two seeds with each of the rates."""
    run = tiny_run(tmp_path_factory.mktemp("alone"))
    learner = tiny_learner(seeds=2, rate=RATES[1])
    return [two_seeds.fitted, fit(learner, tiny_data(), unsaved_config(), run)]


@pytest.mark.parametrize("kind", ["seeds of a sweep", "sweep of seeds"])
def test_all_points_of_a_sweep_see_the_same_batches(tmp_path: Path, alone: list[Fitted], kind: str):
    """Each replica is the run that its seed and its value make alone: only those differ."""
    rates = {"rate": jnp.array(RATES)}
    if kind == "seeds of a sweep":
        axis = 1
        learner = over_seeds(over_hyperparameters(lambda rate: tiny_learner(rate=rate), rates), 2)
    else:
        axis = 0
        learner = over_hyperparameters(lambda rate: tiny_learner(rate=rate, seeds=2), rates)
    assert learner.streams == (2,)
    together = fit(learner, tiny_data(), unsaved_config(), tiny_run(tmp_path))
    assert together.state.replicas == (2, 2)
    for point, single in enumerate(alone):
        many = jax.tree.map(lambda leaf, i=point: leaf.take(i, axis), together.state.params)
        assert_close(many, single.state.params)
        ours, theirs = (rows_of(fitted.history, "validation") for fitted in (together, single))
        for row, expected in zip(ours, theirs, strict=True):
            accuracy = np.reshape(row["accuracy"], (2, 2)).take(point, axis)
            assert accuracy == pytest.approx(expected["accuracy"])


def test_a_point_that_was_never_finite_disturbs_no_other(tmp_path: Path, one_seed: Trained):
    """And has no best parameters."""
    sweep = over_hyperparameters(
        lambda rate: tiny_learner(rate=rate), {"rate": jnp.array([1e-2, jnp.nan])}
    )
    config = tiny_config(stop_on_nonfinite=False)
    fitted = fit(sweep, tiny_data(), config, tiny_run(tmp_path))
    alone = one_seed.fitted
    assert [row["accuracy"][0] for row in fitted.history] == pytest.approx(
        [row["accuracy"] for row in alone.history]
    )
    assert fitted.best_step.tolist() == [alone.best_step, -1]
    for leaf in jax.tree.leaves(fitted.best.params):
        assert np.isfinite(leaf[0]).all()
        assert np.isnan(leaf[1]).all()


def test_a_sharded_learner_trains_and_resumes(tmp_path: Path, two_seeds: Trained):
    mesh = local_mesh()
    assert mesh.size == 8
    learner = sharded(tiny_learner(seeds=2), mesh, REPLICATED)
    data, config = tiny_data(), tiny_config(checkpoint_every=8)
    whole = fit(learner, data, config, tiny_run(tmp_path / "a"))
    assert_close(whole.state.params, two_seeds.fitted.state.params, rtol=1e-7, atol=1e-5)
    fit(learner, data, tiny_config(epochs=1), tiny_run(tmp_path / "b"))
    resumed = fit(learner, data, config, tiny_run(tmp_path / "b", resumed=True))
    assert_same_bits(resumed.state, whole.state)
