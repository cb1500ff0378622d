"""However training is cut and wherever it is resumed, the result is the same to the bit.

With the programs of a user, in which the compiler may unroll a loop or order a sum anew.
"""

from collections.abc import Iterator
from pathlib import Path

import optax
import pytest

from dl_jax.data import mixture_splits
from dl_jax.learners import GAMES, averaged, over_seeds
from dl_jax.models import mlp_critic, mlp_generator
from dl_jax.training import fit
from tests.training.optimization import optimization
from tests.training.tiny import (
    Trained,
    assert_same_bits,
    tiny_config,
    tiny_data,
    tiny_learner,
    tiny_run,
    without_seconds,
)


@pytest.fixture(autouse=True, scope="module")
def full_optimization() -> Iterator[None]:
    with optimization(enabled=True):
        yield


def trained(folder: Path, *, resumed: bool = False, **changes) -> Trained:
    run = tiny_run(folder, resumed=resumed)
    config = tiny_config(evaluate_every=4, **changes)
    return Trained(run, fit(tiny_learner(seeds=2), tiny_data(), config, run))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """An undisturbed run, in compiled loops."""
    return trained(tmp_path_factory.mktemp("whole"), loop="compiled")


@pytest.mark.parametrize("loop", ["compiled", "python"])
def test_chunks_of_any_length_give_the_same_bits(tmp_path: Path, whole: Trained, loop: str):
    one = whole if loop == "compiled" else trained(tmp_path / "one", loop=loop)
    other = trained(tmp_path / "other", loop=loop, log_every=7, checkpoint_every=5)
    assert_same_bits(other.fitted.state, one.fitted.state)
    assert_same_bits(other.fitted.best, one.fitted.best)


def test_two_halves_are_the_whole(tmp_path: Path, whole: Trained):
    """Train N of 2N steps, stop, resume for N more: the same to the bit, and the same rows."""
    run, _ = trained(tmp_path, loop="compiled", steps=12)
    _, halves = trained(tmp_path, loop="compiled", resumed=True)
    assert_same_bits(halves.state, whole.fitted.state)
    assert_same_bits(halves.best, whole.fitted.best)
    assert without_seconds(halves.history) == without_seconds(whole.fitted.history)
    assert run.history() == halves.history


def played(folder: Path, *, resumed: bool = False, **changes) -> Trained:
    """A game with everything that a state may hold: spectral vectors, an average, two replicas."""
    run, data = tiny_run(folder, resumed=resumed), mixture_splits("eight_gaussians", 64)
    adam = optax.adam(1e-2, b1=0.5)
    game = GAMES["hinge_sn"]._replace(penalty=1.0)
    learner = game.learner(
        mlp_generator(2, 2, (8,)), mlp_critic(2, (8,)), (adam, adam), 2,
        latent_dim=2, inputs="point",
    )  # fmt: skip
    learner = over_seeds(averaged(learner, 0.9), 2)
    config = tiny_config(evaluate_every=4, monitor="distance", monitor_mode="min", **changes)
    return Trained(run, fit(learner, data, config, run))


def test_two_halves_of_a_game_are_the_whole(tmp_path: Path):
    whole = played(tmp_path / "whole").fitted
    played(tmp_path / "halves", steps=12)
    _, halves = played(tmp_path / "halves", resumed=True)
    assert_same_bits(halves.state, whole.state)
    assert_same_bits(halves.best, whole.best)
    assert without_seconds(halves.history) == without_seconds(whole.history)
