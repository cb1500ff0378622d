"""Which parameters are the best, and when nothing better is awaited any more."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl_jax.errors import UsageError
from dl_jax.learners import Learner, supervised
from dl_jax.models import mlp, with_preprocessing
from dl_jax.runs.checkpoints import Checkpoints
from dl_jax.training import fit, make_evaluate
from tests.training.tiny import (
    NORMALIZE,
    assert_same_bits,
    rows_of,
    tiny_config,
    tiny_data,
    tiny_learner,
    tiny_run,
    unsaved_config,
)


def test_the_best_parameters_are_kept_for_each_replica(tmp_path: Path):
    data, learner = tiny_data(), tiny_learner(seeds=2, rate=0.1)
    fitted = fit(learner, data, unsaved_config(evaluate_every=2), tiny_run(tmp_path))
    rows = rows_of(fitted.history, "validation")
    accuracy = np.array([row["accuracy"] for row in rows])  # [evaluations, replicas]
    steps = np.array([row["step"] for row in rows])
    loss = np.array([row["loss"] for row in rows])
    expected = [max(zip(accuracy[:, i], -loss[:, i], steps, strict=True))[2] for i in range(2)]
    np.testing.assert_array_equal(fitted.best_step, expected)
    measured = make_evaluate(learner, 16)(fitted.best, data["validation"]).means()
    np.testing.assert_allclose(measured["accuracy"], accuracy.max(0))
    assert len(set(fitted.best_step.tolist())) > 1  # else this shows nothing of the kind


def test_a_loss_is_minimized(tmp_path: Path):
    learner = tiny_learner(seeds=2, rate=0.1)
    config = unsaved_config(monitor="loss", evaluate_every=2)
    fitted = fit(learner, tiny_data(), config, tiny_run(tmp_path))
    rows = rows_of(fitted.history, "validation")
    for i, best_step in enumerate(fitted.best_step):
        assert best_step == min(rows, key=lambda row, i=i: row["loss"][i])["step"]


def regression() -> Learner:
    """A linear regression of the labels that measures two more values per example."""

    def on_outputs(function):
        return lambda outputs, labels: function(outputs[:, 0], labels.astype(jnp.float32))

    return supervised(
        with_preprocessing(mlp((8, 8, 1), (), 1), NORMALIZE),
        on_outputs(lambda y, t: (y - t) ** 2),
        optax.sgd(1e-3),
        metrics={
            "mae": on_outputs(lambda y, t: jnp.abs(y - t)),
            "constant": on_outputs(lambda y, _: jnp.ones_like(y)),
        },
    )


@pytest.mark.parametrize(("mode", "choose"), [("min", min), ("max", max)])
def test_any_metric_is_minimized_or_maximized_as_asked(tmp_path: Path, mode: str, choose):
    config = unsaved_config(monitor="mae", monitor_mode=mode, evaluate_every=2)
    fitted = fit(regression(), tiny_data(), config, tiny_run(tmp_path))
    rows = rows_of(fitted.history, "validation")
    assert rows[0]["mae"] > 1.2 * rows[-1]["mae"]  # or the two modes would not differ
    assert fitted.best_step == choose(rows, key=lambda row: row["mae"])["step"]


def test_equal_scores_are_decided_by_the_loss(tmp_path: Path):
    config = unsaved_config(monitor="constant", monitor_mode="max", evaluate_every=2)
    fitted = fit(regression(), tiny_data(), config, tiny_run(tmp_path))
    rows = rows_of(fitted.history, "validation")
    assert fitted.best_step == min(rows, key=lambda row: row["loss"])["step"] > 2


@pytest.mark.parametrize(
    ("learner", "monitor", "said"),
    [
        (regression, "mae", "monitor_mode is auto, expected min or max.* mae"),
        (tiny_learner, "acc", "monitor is 'acc', expected one of accuracy, loss"),
    ],
)
def test_what_cannot_be_monitored_is_refused(tmp_path: Path, learner, monitor: str, said: str):
    with pytest.raises(UsageError, match=said):
        fit(learner(), tiny_data(), tiny_config(monitor=monitor), tiny_run(tmp_path))


def test_early_stopping(tmp_path: Path):
    learner = tiny_learner(rate=0.0)  # nothing improves
    config = unsaved_config(patience=2, evaluate_every=4, epochs=10)
    fitted = fit(learner, tiny_data(), config, tiny_run(tmp_path))
    assert fitted.state.step == 12  # best at 4, and two evaluations more
    with pytest.raises(UsageError, match="patience needs a validation set"):
        fit(learner, {"train": tiny_data()["train"]}, config, tiny_run(tmp_path / "b"))


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
