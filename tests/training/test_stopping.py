"""How a run ends before its time: asked to stop, not finite any more, unable to save."""

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from dl_jax.errors import RunError
from dl_jax.learners import Learner
from dl_jax.runs import Interrupted
from dl_jax.runs.checkpoints import Checkpoints
from dl_jax.runs.interruption import Interruption
from dl_jax.training import fit
from dl_jax.training.evaluate import make_evaluate
from tests.training.tiny import (
    Trained,
    assert_same_bits,
    tiny_config,
    tiny_data,
    tiny_learner,
    tiny_run,
    unsaved_config,
)


def latest(run) -> int | None:
    with Checkpoints(run.checkpoints, config=run.config) as checkpoints:
        return checkpoints.latest


# Not finite.


def nan_from(step: int, learner: Learner) -> Learner:
    """`learner`, whose loss is not finite from a step on."""

    def train_step(state, batch):
        before = state.step
        state, metrics = learner.train_step(state, batch)
        bad = jnp.where(before >= step, jnp.nan, 0.0)
        sums = {**metrics.sums, "loss": metrics.sums["loss"] + bad}
        return state, metrics.replace(sums=sums)

    return learner._replace(train_step=train_step)


@pytest.mark.parametrize("loop", ["compiled", "python"])
def test_a_loss_that_is_not_finite_ends_the_run_at_its_step(tmp_path: Path, loop: str):
    run = tiny_run(tmp_path)
    message = "not finite at step 10; the checkpoint of step 8 is kept in .*: lower the learning"
    with pytest.raises(RunError, match=message):
        fit(nan_from(10, tiny_learner()), tiny_data(), tiny_config(loop=loop), run)
    with Checkpoints(run.checkpoints) as checkpoints:
        assert checkpoints.latest == 8


def test_a_sweep_continues_past_a_replica_that_diverged(tmp_path: Path):
    config = unsaved_config(stop_on_nonfinite=False)
    fitted = fit(nan_from(10, tiny_learner()), tiny_data(), config, tiny_run(tmp_path))
    assert fitted.state.step == 24
    assert next(row["loss"] for row in fitted.history if row["step"] == 24) is None


def test_parameters_that_are_not_finite_are_not_saved(tmp_path: Path):
    run = tiny_run(tmp_path)
    learner = tiny_learner()

    def train_step(state, batch):
        state, metrics = learner.train_step(state, batch)
        bad = jnp.where(state.step == 12, jnp.nan, 0.0)
        return state.replace(params=jax.tree.map(lambda p: p + bad, state.params)), metrics

    with pytest.raises(RunError, match="not finite at step 12"):
        fit(learner._replace(train_step=train_step), tiny_data(), tiny_config(), run)
    with Checkpoints(run.checkpoints) as checkpoints:
        assert checkpoints.latest == 8


def test_the_replica_that_failed_first_is_named(tmp_path: Path):
    learner = tiny_learner(seeds=2)

    def train_step(state, batch):
        before = state.step
        state, metrics = learner.train_step(state, batch)
        bad = jnp.where(before >= jnp.array([12, 10]), jnp.nan, 0.0)
        sums = {**metrics.sums, "loss": metrics.sums["loss"] + bad}
        return state, metrics.replace(sums=sums)

    config = tiny_config(log_every=100, evaluate_every=100, checkpoint_every=8)
    message = "loss is not finite at step 10 in replica 1; .* with the others .no-stop"
    with pytest.raises(RunError, match=message):
        fit(learner._replace(train_step=train_step), tiny_data(), config, tiny_run(tmp_path))


def test_a_replica_that_diverged_is_never_the_best(tmp_path: Path):
    """NaN logits have their maximum somewhere, and are right now and then."""
    learner = tiny_learner(seeds=2)

    def train_step(state, batch):
        state, metrics = learner.train_step(state, batch)
        bad = jnp.where((state.step > 8) & (jnp.arange(2) == 1), jnp.nan, 0.0)

        def spoil(leaf):
            return leaf + bad.reshape(-1, *[1] * (leaf.ndim - 1))

        return state.replace(params=jax.tree.map(spoil, state.params)), metrics

    config = unsaved_config(stop_on_nonfinite=False, evaluate_every=4)
    fitted = fit(learner._replace(train_step=train_step), tiny_data(), config, tiny_run(tmp_path))
    assert fitted.best_step[1] <= 8
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(fitted.best.params))


# Asked to stop.


def test_a_signal_while_evaluating_is_saved_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_seed: Trained
):
    """Also where no checkpoint is due."""
    data, config = tiny_data(), unsaved_config(evaluate_every=4)
    run = tiny_run(tmp_path / "stopped")

    def signalling(learner, batch_size):
        evaluate = make_evaluate(learner, batch_size)

        def both(state, dataset):
            os.kill(os.getpid(), signal.SIGTERM)
            return evaluate(state, dataset)

        return both

    with monkeypatch.context() as patch:
        patch.setattr(
            importlib.import_module("dl_jax.training.session"), "make_evaluate", signalling
        )
        with pytest.raises(Interrupted, match="stopped by SIGTERM, saved at step 4; resume") as end:
            fit(tiny_learner(), data, config, run)
    assert end.value.exit_code == 75
    assert latest(run) == 4
    resumed = fit(tiny_learner(), data, config, tiny_run(tmp_path / "stopped", resumed=True))
    assert_same_bits(resumed.state, one_seed.fitted.state)


def test_a_signal_whose_checkpoint_fails_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def stop_at_once(*_):
        os.kill(os.getpid(), signal.SIGTERM)
        return "No space left on device"

    monkeypatch.setattr(Checkpoints, "save", stop_at_once)
    config = tiny_config(checkpoint_every=4, evaluate_every=100)
    with pytest.raises(Interrupted, match="stopped by SIGTERM, not saved at step"):
        fit(tiny_learner(), tiny_data(), config, tiny_run(tmp_path))


OUTSIDE = """
import os, signal, sys
from dataclasses import dataclass
from dl_jax.runs import RunOptions, launch

@dataclass(frozen=True)
class Config:
    run: RunOptions = RunOptions()

number = getattr(signal, sys.argv.pop())
launch(Config, lambda config: os.kill(os.getpid(), number))
"""


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 75), ("SIGINT", 130)])
def test_a_signal_outside_of_the_loop(name: str, code: int):
    """Before or after training there is nothing to save; the exit code still says: try again."""
    done = subprocess.run(
        [sys.executable, "-c", OUTSIDE, name], capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    (said,) = done.stderr.splitlines()
    assert said.startswith(f"stopped by {name} outside of the training loop")


def test_a_second_signal_at_once_is_the_same_signal():
    """Some programs send a signal to the process and to its group."""
    with Interruption() as interruption:
        for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
        assert interruption.received is signal.SIGINT


@pytest.mark.parametrize("step", [0, 4, 7])
def test_nothing_is_done_or_logged_twice(tmp_path: Path, monkeypatch, step: int):
    """A signal may come at any moment: before a chunk begins, too."""
    module = importlib.import_module("dl_jax.training.session")
    original = module.make_train_chunk

    def signalling(*arguments, **options):
        advance = original(*arguments, **options)

        def both(state, start, stop, asked_to_stop):
            if start <= step < stop:
                os.kill(os.getpid(), signal.SIGTERM)
            return advance(state, start, stop, asked_to_stop)

        return both

    monkeypatch.setattr(module, "make_train_chunk", signalling)
    run = tiny_run(tmp_path)
    config = tiny_config(log_every=1, evaluate_every=4)
    with pytest.raises(Interrupted, match=f"saved at step {step}; resume"):
        fit(tiny_learner(), tiny_data(), config, run)
    assert latest(run) == step
    rows = [(row["step"], row["split"]) for row in run.history()]
    assert len(rows) == len(set(rows))
    assert all(row["loss"] is not None and 0 < row["step"] <= step for row in run.history())


# Unable to save.


def test_training_that_could_not_be_saved_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    original = Checkpoints.save

    def save(self, step, tree):
        if step == 24:
            return self._give_up(step, "No space left on device")
        return original(self, step, tree)

    monkeypatch.setattr(Checkpoints, "save", save)
    run = tiny_run(tmp_path)
    with pytest.raises(RunError, match="training ended at step 24, but .*No space left on device"):
        fit(tiny_learner(), tiny_data(), tiny_config(), run)
    assert latest(run) == 20
