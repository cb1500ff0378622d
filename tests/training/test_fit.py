"""The loop: what it logs, chooses and stops at, and that how it is cut changes nothing."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl_jax.compilation import rolled_loop_is_fast
from dl_jax.errors import UsageError
from dl_jax.functional import l2_loss
from dl_jax.learners import (
    REPLICATED,
    Learner,
    local_mesh,
    over_hyperparameters,
    over_seeds,
    sharded,
    supervised,
)
from dl_jax.models import mlp, with_preprocessing
from dl_jax.runs.checkpoints import Checkpoints
from dl_jax.shape_checks import TypeCheckError
from dl_jax.training import fit, make_evaluate
from tests.training.tiny import (
    NORMALIZE,
    assert_same_bits,
    tiny_config,
    tiny_data,
    tiny_learner,
    tiny_run,
    without_seconds,
)


def test_it_is_the_plain_loop(tmp_path: Path):
    """Against the loop that anyone would write."""
    data, config, learner = tiny_data(), tiny_config(), tiny_learner()
    fitted = fit(learner, data, config, tiny_run(tmp_path))
    state = jax.jit(learner.init)(jax.random.key(config.seed))
    order, step = data["train"].order(config.batch_size, config.seed), jax.jit(learner.train_step)
    losses = []
    for n in range(24):
        state, metrics = step(state, data["train"].batch(order.batch(n)))
        losses.append(float(metrics.means()["loss"]))
    for ours, plain in zip(
        jax.tree.leaves(fitted.state.params), jax.tree.leaves(state.params), strict=True
    ):
        np.testing.assert_allclose(ours, plain, rtol=1e-4, atol=1e-6)
    train = [row for row in fitted.history if row["split"] == "train"]
    assert [row["step"] for row in train] == [3, 4, 6, 8, 9, 12, 15, 16, 18, 20, 21, 24]
    np.testing.assert_allclose(train[0]["loss"], np.mean(losses[:3]), rtol=1e-4)
    np.testing.assert_allclose(train[-1]["loss"], np.mean(losses[21:]), rtol=1e-4)


@pytest.mark.parametrize("loop", ["python", "compiled"])
def test_chunks_of_any_length_give_the_same_bits(tmp_path: Path, loop: str):
    data, learner = tiny_data(), tiny_learner(seeds=2)
    one = fit(learner, data, tiny_config(loop=loop), tiny_run(tmp_path / "a"))
    config = tiny_config(loop=loop, log_every=7, checkpoint_every=5)
    other = fit(learner, data, config, tiny_run(tmp_path / "b"))
    assert_same_bits(one.state, other.state)
    assert_same_bits(one.best, other.best)


def test_on_device_and_streamed_and_looped_give_one_result(tmp_path: Path):
    data, learner = tiny_data(), tiny_learner(seeds=2)
    states = [
        fit(learner, data, tiny_config(**changes), tiny_run(tmp_path / str(i))).state
        for i, changes in enumerate(
            [{"loop": "compiled"}, {"loop": "python"}, {"dataset_on_device": "never"}]
        )
    ]
    for other in states[1:]:
        for a, b in zip(
            jax.tree.leaves(states[0].params), jax.tree.leaves(other.params), strict=True
        ):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_on_cpu_only_convolutions_are_kept_out_of_loops():
    data = tiny_data()["train"].batch(np.arange(8))
    for kind, in_loop in (("mlp", True), ("cnn", False)):
        learner = tiny_learner(kind, seeds=2)
        batch = {name: np.stack([array, array]) for name, array in data.items()}
        state = learner.init(jax.random.key(0))
        assert rolled_loop_is_fast(learner.train_step, state, batch) is in_loop


def test_several_seeds_are_the_single_runs(tmp_path: Path):
    data, config = tiny_data(), tiny_config()
    three = fit(tiny_learner(seeds=3), data, config, tiny_run(tmp_path / "3"))
    one = fit(tiny_learner(seeds=1), data, config, tiny_run(tmp_path / "1"))
    for many, single in zip(
        jax.tree.leaves(three.state.params), jax.tree.leaves(one.state.params), strict=True
    ):
        np.testing.assert_allclose(many[0], single[0], rtol=1e-4, atol=1e-6)
        assert not np.allclose(many[0], many[1])


@pytest.mark.parametrize("kind", ["seeds of a sweep", "sweep of seeds"])
def test_all_points_of_a_sweep_see_the_same_batches(tmp_path: Path, kind: str):
    """Each replica is the run that its seed and its value make alone: only those differ."""
    data, config = tiny_data(), tiny_config()
    rates = {"rate": jnp.array([1e-2, 1e-3, 1e-1])}
    if kind == "seeds of a sweep":
        learner = over_seeds(over_hyperparameters(lambda rate: tiny_learner(rate=rate), rates), 2)
    else:
        learner = over_hyperparameters(lambda rate: tiny_learner(rate=rate, seeds=2), rates)
    assert learner.streams == (2,)
    together = fit(learner, data, config, tiny_run(tmp_path))
    assert together.state.replicas == ((2, 3) if kind == "seeds of a sweep" else (3, 2))
    assert np.shape(together.history[-1]["accuracy"]) == (6,)
    for j, rate in enumerate(rates["rate"].tolist()):
        alone = fit(tiny_learner(rate=rate, seeds=2), data, config, tiny_run(tmp_path / str(j)))
        for many, single in zip(
            jax.tree.leaves(together.state.params), jax.tree.leaves(alone.state.params), strict=True
        ):
            point = many[:, j] if kind == "seeds of a sweep" else many[j]
            np.testing.assert_allclose(point, single, rtol=1e-4, atol=1e-6)


def test_a_sweep_is_its_points_in_turn(tmp_path: Path):
    data, config, rates = tiny_data(), tiny_config(), [1e-2, 1e-1]
    sweep = over_hyperparameters(lambda rate: tiny_learner(rate=rate), {"rate": jnp.array(rates)})
    together = fit(sweep, data, config, tiny_run(tmp_path / "sweep"))
    for i, rate in enumerate(rates):
        alone = fit(tiny_learner(rate=rate), data, config, tiny_run(tmp_path / str(i)))
        assert [row["accuracy"][i] for row in together.history] == pytest.approx(
            [row["accuracy"] for row in alone.history]
        )


def test_it_learns_the_training_set_by_heart(tmp_path: Path):
    data, learner = tiny_data(), tiny_learner(dropout_rate=0.0)
    fitted = fit(learner, data, tiny_config(epochs=60), tiny_run(tmp_path))
    assert make_evaluate(learner, 64)(fitted.state, data["train"]).means()["accuracy"] == 1.0


def test_validation_counts_every_example_once(tmp_path: Path):
    learner, data = tiny_learner(), tiny_data()
    fitted = fit(learner, data, tiny_config(), tiny_run(tmp_path))
    validation = data["validation"]
    for batch_size in (7, 16, 30):
        measured = make_evaluate(learner, batch_size)(fitted.state, validation)
        assert measured.counts["loss"] == 30
        everything = {**validation.batch(np.arange(30)), "mask": np.ones(30, np.int32)}
        whole = jax.jit(learner.eval_step)(fitted.state, everything).means()
        for name, value in measured.means().items():
            np.testing.assert_allclose(value, whole[name], rtol=1e-6)
    last = [row for row in fitted.history if row["split"] == "validation"][-1]
    np.testing.assert_allclose(last["loss"], measured.means()["loss"], rtol=1e-6)


def test_the_best_parameters_are_kept_for_each_replica(tmp_path: Path):
    data, learner = tiny_data(), tiny_learner(seeds=3, rate=0.1)
    fitted = fit(learner, data, tiny_config(evaluate_every=2, epochs=2), tiny_run(tmp_path))
    rows = [row for row in fitted.history if row["split"] == "validation"]
    accuracy = np.array([row["accuracy"] for row in rows])  # [evaluations, replicas]
    steps = np.array([row["step"] for row in rows])
    loss = np.array([row["loss"] for row in rows])
    expected = [max(zip(accuracy[:, i], -loss[:, i], steps, strict=True))[2] for i in range(3)]
    np.testing.assert_array_equal(fitted.best_step, expected)
    measured = make_evaluate(learner, 30)(fitted.best, data["validation"]).means()
    np.testing.assert_allclose(measured["accuracy"], accuracy.max(0))
    assert len(set(fitted.best_step.tolist())) > 1  # else this shows nothing of the kind


def test_a_loss_is_minimized(tmp_path: Path):
    config = tiny_config(monitor="loss", evaluate_every=2)
    fitted = fit(tiny_learner(rate=0.1), tiny_data(), config, tiny_run(tmp_path))
    rows = [row for row in fitted.history if row["split"] == "validation"]
    assert fitted.best_step == min(rows, key=lambda row: row["loss"])["step"]


def with_metric(name: str, function) -> Learner:
    """A linear regression of the labels that measures one more value per example."""
    model = with_preprocessing(mlp((8, 8, 1), (), 1), NORMALIZE)

    def on_outputs(function):
        return lambda outputs, labels: function(outputs[:, 0], labels.astype(jnp.float32))

    return supervised(
        model,
        on_outputs(lambda y, t: (y - t) ** 2),
        optax.sgd(1e-3),
        metrics={name: on_outputs(function)},
    )


@pytest.mark.parametrize(("mode", "choose"), [("min", min), ("max", max)])
def test_any_metric_is_minimized_or_maximized_as_asked(tmp_path: Path, mode: str, choose):
    learner = with_metric("mae", lambda y, t: jnp.abs(y - t))
    config = tiny_config(monitor="mae", monitor_mode=mode, evaluate_every=2)
    fitted = fit(learner, tiny_data(), config, tiny_run(tmp_path))
    rows = [row for row in fitted.history if row["split"] == "validation"]
    assert rows[0]["mae"] > 1.2 * rows[-1]["mae"]  # or the two modes would not differ
    assert fitted.best_step == choose(rows, key=lambda row: row["mae"])["step"]


def test_whether_an_unknown_metric_is_to_be_large_must_be_said(tmp_path: Path):
    learner = with_metric("mae", lambda y, t: jnp.abs(y - t))
    with pytest.raises(UsageError, match="monitor_mode is auto, expected min or max.* mae"):
        fit(learner, tiny_data(), tiny_config(monitor="mae"), tiny_run(tmp_path))


def test_equal_accuracies_are_decided_by_the_loss(tmp_path: Path):
    learner = with_metric("constant", lambda y, _: jnp.ones_like(y))
    config = tiny_config(monitor="constant", monitor_mode="max", evaluate_every=2)
    fitted = fit(learner, tiny_data(), config, tiny_run(tmp_path))
    rows = [row for row in fitted.history if row["split"] == "validation"]
    assert fitted.best_step == min(rows, key=lambda row: row["loss"])["step"] > 2


def test_a_replica_that_was_never_finite_has_no_best_parameters(tmp_path: Path):
    sweep = over_hyperparameters(
        lambda rate: tiny_learner(rate=rate), {"rate": jnp.array([1e-2, jnp.nan])}
    )
    config = tiny_config(stop_on_nonfinite=False)
    fitted = fit(sweep, tiny_data(), config, tiny_run(tmp_path))
    assert fitted.best_step[1] == -1 < fitted.best_step[0]
    for leaf in jax.tree.leaves(fitted.best.params):
        assert np.isfinite(leaf[0]).all()
        assert np.isnan(leaf[1]).all()


def test_early_stopping(tmp_path: Path):
    learner = tiny_learner(rate=1e-12)  # nothing improves
    config = tiny_config(patience=2, evaluate_every=4, epochs=10)
    fitted = fit(learner, tiny_data(), config, tiny_run(tmp_path))
    assert fitted.state.step == 12  # best at 4, and two evaluations more
    with pytest.raises(UsageError, match="patience needs a validation set"):
        fit(learner, {"train": tiny_data()["train"]}, config, tiny_run(tmp_path / "b"))


def test_an_unknown_metric_to_monitor(tmp_path: Path):
    with pytest.raises(UsageError, match="monitor is 'acc', expected one of accuracy, loss"):
        fit(tiny_learner(), tiny_data(), tiny_config(monitor="acc"), tiny_run(tmp_path))


def test_a_sharded_learner_trains_and_resumes(tmp_path: Path):
    mesh = local_mesh()
    assert mesh.size == 8
    learner = sharded(tiny_learner(seeds=2), mesh, REPLICATED)
    data, config = tiny_data(), tiny_config()
    whole = fit(learner, data, config, tiny_run(tmp_path / "a"))
    alone = fit(tiny_learner(seeds=2), data, config, tiny_run(tmp_path / "b"))
    for a, b in zip(
        jax.tree.leaves(whole.state.params), jax.tree.leaves(alone.state.params), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=1e-5)
    fit(learner, data, tiny_config(epochs=1), tiny_run(tmp_path / "c"))
    resumed = fit(learner, data, config, tiny_run(tmp_path / "c", resumed=True))
    assert_same_bits(resumed.state, whole.state)


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_two_halves_are_the_whole(tmp_path: Path, kind: str):
    """Train 2N steps; train N, stop, resume for N more: the same to the bit, and the same rows."""
    data, learner = tiny_data(), tiny_learner(kind, seeds=2)
    whole_run, halves_run = tiny_run(tmp_path / "whole"), tiny_run(tmp_path / "halves")
    config = tiny_config(evaluate_every=4)
    whole = fit(learner, data, config, whole_run)
    fit(learner, data, replace(config, steps=12), halves_run)
    halves = fit(learner, data, config, tiny_run(tmp_path / "halves", resumed=True))
    assert_same_bits(halves.state, whole.state)
    assert_same_bits(halves.best, whole.best)
    assert without_seconds(halves.history) == without_seconds(whole.history)
    assert halves_run.history() == halves.history


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path):
    data, learner = tiny_data(), tiny_learner()
    first = fit(learner, data, tiny_config(), tiny_run(tmp_path))
    again = fit(learner, data, tiny_config(), tiny_run(tmp_path, resumed=True))
    assert_same_bits(first.state, again.state)
    assert_same_bits(first.best, again.best)
    assert first.history == again.history


def test_without_validation_the_last_parameters_are_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """And a checkpoint holds them once."""
    saved, save = [], Checkpoints.save
    monkeypatch.setattr(
        Checkpoints,
        "save",
        lambda self, step, tree: (saved.append(tree), save(self, step, tree))[1],
    )
    fitted = fit(tiny_learner(), {"train": tiny_data()["train"]}, tiny_config(), tiny_run(tmp_path))
    assert_same_bits(fitted.state, fitted.best)
    assert {row["split"] for row in fitted.history} == {"train"}
    assert saved
    assert all(tree.best is None for tree in saved)


def test_fewer_steps_than_were_made_are_refused(tmp_path: Path):
    fit(tiny_learner(), tiny_data(), tiny_config(), tiny_run(tmp_path))
    shorter = tiny_config(epochs=2)
    with pytest.raises(UsageError, match=r"stands at step 24, beyond the 16 steps asked for"):
        fit(tiny_learner(), tiny_data(), shorter, tiny_run(tmp_path, resumed=True))
    assert len(tiny_run(tmp_path).history()) == 15  # nothing is lost


def test_streaming_reads_each_batch_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    data, read = tiny_data(), []
    original = type(data["train"]).batch

    def batch(self, indices):
        if self.split == "train":
            read.append(indices)
        return original(self, indices)

    monkeypatch.setattr(type(data["train"]), "batch", batch)
    config = tiny_config(dataset_on_device="never", evaluate_every=100, checkpoint_every=100)
    fit(tiny_learner(), data, config, tiny_run(tmp_path))
    assert len(read) == 24


def test_evaluation_is_compiled_once_for_training_and_report(tmp_path: Path):
    learner, traces = tiny_learner(), []

    def eval_step(state, batch):
        traces.append(batch["image"].shape)
        return learner.eval_step(state, batch)

    counted = learner._replace(eval_step=eval_step)
    data, config = tiny_data(), tiny_config()
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
