"""The loop: what it does, logs and refuses."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl_jax.compilation import rolled_loop_is_fast
from dl_jax.errors import UsageError
from dl_jax.functional import l2_loss
from dl_jax.learners import supervised
from dl_jax.models import mlp, with_preprocessing
from dl_jax.shape_checks import TypeCheckError
from dl_jax.training import fit, make_evaluate
from tests.training.tiny import (
    NORMALIZE,
    Trained,
    assert_close,
    assert_same_bits,
    rows_of,
    tiny_config,
    tiny_data,
    tiny_learner,
    tiny_run,
    unsaved_config,
    without_seconds,
)


def test_it_is_the_plain_loop(one_seed: Trained):
    """Against the loop that anyone would write."""
    data, config, learner = tiny_data(), tiny_config(), tiny_learner()
    state = jax.jit(learner.init)(jax.random.key(config.seed))
    order, step = data["train"].order(config.batch_size, config.seed), jax.jit(learner.train_step)
    losses = []
    for n in range(24):
        state, metrics = step(state, data["train"].batch(order.batch(n)))
        losses.append(float(metrics.means()["loss"]))
    assert_close(one_seed.fitted.state.params, state.params)
    train = rows_of(one_seed.fitted.history, "train")
    assert [row["step"] for row in train] == [3, 4, 6, 8, 9, 12, 15, 16, 18, 20, 21, 24]
    np.testing.assert_allclose(train[0]["loss"], np.mean(losses[:3]), rtol=1e-4)
    np.testing.assert_allclose(train[-1]["loss"], np.mean(losses[21:]), rtol=1e-4)


@pytest.mark.parametrize("changes", [{"loop": "python"}, {"dataset_on_device": "never"}])
def test_on_device_and_streamed_and_looped_give_one_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, two_seeds: Trained, changes: dict
):
    """And a stream reads each batch once."""
    data, read = tiny_data(), []
    original = type(data["train"]).batch

    def batch(self, indices):
        if self.split == "train":
            read.append(indices)
        return original(self, indices)

    monkeypatch.setattr(type(data["train"]), "batch", batch)
    config = unsaved_config(evaluate_every=100, **changes)
    fitted = fit(tiny_learner(seeds=2), data, config, tiny_run(tmp_path))
    assert_close(fitted.state.params, two_seeds.fitted.state.params)
    assert len(read) == (24 if "dataset_on_device" in changes else 0)


def test_on_cpu_only_convolutions_are_kept_out_of_loops():
    data = tiny_data()["train"].batch(np.arange(8))
    for kind, in_loop in (("mlp", True), ("cnn", False)):
        learner = tiny_learner(kind, seeds=2)
        batch = {name: np.stack([array, array]) for name, array in data.items()}
        state = jax.eval_shape(learner.init, jax.random.key(0))
        assert rolled_loop_is_fast(learner.train_step, state, batch) is in_loop


def test_it_learns_the_training_set_by_heart(tmp_path: Path):
    data, learner = tiny_data(), tiny_learner(dropout_rate=0.0)
    config = unsaved_config(epochs=60, log_every=1000, evaluate_every=1000)
    fitted = fit(learner, data, config, tiny_run(tmp_path))
    assert make_evaluate(learner, 16)(fitted.state, data["train"]).means()["accuracy"] == 1.0


def test_validation_counts_every_example_once(one_seed: Trained):
    learner, validation, state = tiny_learner(), tiny_data()["validation"], one_seed.fitted.state
    everything = {**validation.batch(np.arange(30)), "mask": np.ones(30, np.int32)}
    whole = jax.jit(learner.eval_step)(state, everything).means()
    for batch_size in (7, 16, 30):
        measured = make_evaluate(learner, batch_size)(state, validation)
        assert measured.counts["loss"] == 30
        for name, value in measured.means().items():
            np.testing.assert_allclose(value, whole[name], rtol=1e-6)
    last = rows_of(one_seed.fitted.history, "validation")[-1]
    np.testing.assert_allclose(last["loss"], whole["loss"], rtol=1e-6)


def test_two_halves_of_a_convolutional_network_are_the_whole(tmp_path: Path):
    """Its steps are called from Python, one by one."""
    data, learner = tiny_data(), tiny_learner("cnn", seeds=2)
    config, half = (unsaved_config(epochs=epochs) for epochs in (2, 1))
    whole = fit(learner, data, config, tiny_run(tmp_path / "whole"))
    fit(learner, data, half, tiny_run(tmp_path / "halves"))
    halves = fit(learner, data, config, tiny_run(tmp_path / "halves", resumed=True))
    assert_same_bits(halves.state, whole.state)
    assert_same_bits(halves.best, whole.best)
    assert without_seconds(halves.history) == without_seconds(whole.history)


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path, one_seed: Trained):
    run = one_seed.copied(tmp_path / "run")
    again = fit(tiny_learner(), tiny_data(), tiny_config(), run)
    assert_same_bits(again.state, one_seed.fitted.state)
    assert_same_bits(again.best, one_seed.fitted.best)
    assert again.history == one_seed.fitted.history


def test_fewer_steps_than_were_made_are_refused(tmp_path: Path, one_seed: Trained):
    run = one_seed.copied(tmp_path / "run")
    with pytest.raises(UsageError, match=r"stands at step 24, beyond the 16 steps asked for"):
        fit(tiny_learner(), tiny_data(), tiny_config(epochs=2), run)
    assert len(run.history()) == 15  # nothing is lost


def test_evaluation_is_compiled_once_for_training_and_report(tmp_path: Path):
    learner, traces = tiny_learner(), []

    def eval_step(state, batch):
        traces.append(batch["image"].shape)
        return learner.eval_step(state, batch)

    counted = learner._replace(eval_step=eval_step)
    data, config = tiny_data(), unsaved_config()
    fitted = fit(counted, data, config, tiny_run(tmp_path))
    make_evaluate(counted, config.evaluation_batch_size)(fitted.best, data["test"])
    make_evaluate(counted, config.evaluation_batch_size)(fitted.state, data["train"])
    assert traces == [(16, 8, 8, 1)]


def test_a_refused_shape_leaves_no_directory(tmp_path: Path):
    """Predictions [B, 1] against targets [B], from a script without a command line."""
    model = with_preprocessing(mlp((8, 8, 1), (), 1), NORMALIZE)
    learner = supervised(
        model, lambda y, t: l2_loss(y, t.astype(jnp.float32)), optax.sgd(0.1), metrics={}
    )
    run = tiny_run(tmp_path / "run")
    with pytest.raises(TypeCheckError):
        fit(learner, tiny_data(), tiny_config(monitor="loss"), run)
    assert not run.directory.exists()
