"""The `evaluate` hook, and what `fit` refuses before it trains."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl_jax.errors import UsageError
from dl_jax.functional import correct, cross_entropy
from dl_jax.learners import supervised
from dl_jax.models import mlp, with_preprocessing
from dl_jax.training import fit
from dl_jax.training.validation import checked_numbers
from tests.training.tiny import (
    NORMALIZE,
    Trained,
    assert_same_bits,
    rows_of,
    tiny_config,
    tiny_data,
    tiny_learner,
    tiny_run,
    unsaved_config,
    without_seconds,
)


def test_its_numbers_stand_in_the_row_of_the_validation(tmp_path: Path, two_seeds: Trained):
    plain = two_seeds.fitted
    fitted = fit(
        tiny_learner(seeds=2), tiny_data(), tiny_config(), tiny_run(tmp_path),
        evaluate=lambda state: {"twice": 2 * state.step},
    )  # fmt: skip
    rows = rows_of(without_seconds(fitted.history), "validation")
    assert [row.pop("twice") for row in rows] == [[16, 16], [32, 32], [48, 48]]
    assert rows == rows_of(without_seconds(plain.history), "validation")
    assert_same_bits(fitted.state, plain.state)


def test_one_that_draws_and_measures_nothing_leaves_the_last_parameters(tmp_path: Path):
    seen, data = [], {"train": tiny_data()["train"]}
    fitted = fit(
        tiny_learner(), data, tiny_config(), tiny_run(tmp_path),
        evaluate=lambda state: seen.append(int(state.step)) or {},
    )  # fmt: skip
    assert seen == [8, 16, 24]
    assert_same_bits(fitted.best, fitted.state)
    assert int(fitted.best_step) == 24
    again = fit(tiny_learner(), data, tiny_config(), tiny_run(tmp_path, resumed=True),
                evaluate=lambda state: {})  # fmt: skip
    assert_same_bits(again.best, fitted.best)


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ({"accuracy": jnp.zeros(2)}, "'accuracy' of shape .* a name that no metric has"),
        ({"score": 1.0}, r"'score' of shape \(\), expected shape \(2,\)"),
        ({"score": np.zeros((2, 1))}, r"'score' of shape \(2, 1\), expected shape \(2,\)"),
        ({"row": np.zeros(2)}, "a metric is named 'row', expected a name other than"),
        ({"score": "good"}, "'good' as 'score', expected numbers"),
        (None, "evaluate returned a NoneType, expected a dict"),
        ([1.0], "evaluate returned a list, expected a dict"),
    ],
)
def test_what_it_returns_is_checked(returned, said: str):
    with pytest.raises(UsageError, match=said):
        checked_numbers(returned, (2,), ["accuracy", "loss"])


def test_it_must_not_return_what_the_learner_measures(tmp_path: Path):
    with pytest.raises(UsageError, match="'accuracy' of shape .* a name that no metric has"):
        fit(tiny_learner(seeds=2), tiny_data(), tiny_config(steps=4), tiny_run(tmp_path),
            evaluate=lambda state: {"accuracy": jnp.zeros(2)})  # fmt: skip


def test_a_monitored_number_that_it_does_not_return_is_named(tmp_path: Path):
    config = tiny_config(monitor="score", monitor_mode="max")
    with pytest.raises(UsageError, match="monitor is 'score', expected one of .*other"):
        fit(tiny_learner(), tiny_data(), config, tiny_run(tmp_path),
            evaluate=lambda state: {"other": 1.0})  # fmt: skip


def test_a_metric_with_a_name_of_the_rows_is_refused(tmp_path: Path):
    model = with_preprocessing(mlp((8, 8, 1), (4,), 10), NORMALIZE)
    learner = supervised(model, cross_entropy, optax.sgd(0.1), metrics={"step": correct})
    run = tiny_run(tmp_path)
    with pytest.raises(UsageError, match="a metric is named 'step'"):
        fit(learner, tiny_data(), tiny_config(monitor="loss"), run)
    assert not run.metrics_file.exists()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (lambda data: {"training": data["train"]}, "the data has training, expected 'train'"),
        (
            lambda data: {**data, "validation": data["validation"].take(0)},
            "the validation split of digits has no examples",
        ),
    ],
)
def test_data_that_cannot_be_trained_on_is_one_sentence(tmp_path: Path, data, said: str):
    with pytest.raises(UsageError, match=said):
        fit(tiny_learner(), data(tiny_data()), tiny_config(), tiny_run(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_run_is_trained_once(tmp_path: Path):
    """A second learner would continue, in silence, from the first one's checkpoint."""
    run = tiny_run(tmp_path)
    fit(tiny_learner(), tiny_data(), tiny_config(steps=2), run)
    with pytest.raises(UsageError, match=r"was trained in this process already.* run.part\(name\)"):
        fit(tiny_learner(), tiny_data(), tiny_config(steps=2), run)
    assert run.metrics_file.exists()


def test_a_start_is_where_training_begins(tmp_path: Path, one_seed: Trained):
    weights = one_seed.fitted.state.params, one_seed.fitted.state.model_state
    resting = tiny_learner(rate=0.0)
    fitted = fit(resting, tiny_data(), unsaved_config(), tiny_run(tmp_path), start=weights)
    assert_same_bits(fitted.state.params, weights[0])
