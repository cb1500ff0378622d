"""What a finished run leaves behind, whatever network it had."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen

from dl_jax.data import Dataset
from dl_jax.errors import RunError
from dl_jax.functional import cross_entropy
from dl_jax.learners import over_hyperparameters, over_seeds, supervised
from dl_jax.models import from_linen, mlp, with_preprocessing
from dl_jax.reports import data_figure, report_classification
from dl_jax.runs import RunOptions, open_run
from dl_jax.training import fit
from experiments.quickstart import Config
from tests.training.tiny import NORMALIZE, tiny_config, tiny_data


def report(tmp_path: Path, model, wrap=lambda learner: learner, **changes):
    """Train a few steps and report; the result and the directory."""
    data = tiny_data()
    config = Config(run=RunOptions(out=tmp_path, name="run"), fit=tiny_config(steps=4, **changes))
    run = open_run("quickstart", config, config.run)
    learner = wrap(supervised(model, cross_entropy, optax.sgd(0.1)))
    fitted = fit(learner, data, config.fit, run)
    return report_classification(model, learner, fitted, data, config.fit, run), run.directory


def small():
    return with_preprocessing(mlp((8, 8, 1), (4,), 10), NORMALIZE)


def figures(directory: Path) -> set[str]:
    return {path.stem for path in (directory / "figures").glob("*.png")}


class Odd(linen.Module):
    """A parameter at the top, and a first kernel that does not see the image."""

    @linen.compact
    def __call__(self, x, train):
        offset = self.param("a_first", linen.initializers.zeros, (64,))
        x = linen.Conv(2, (1, 1), name="convolution")(x).reshape(x.shape[0], -1)[:, :64] + offset
        return linen.Dense(10, name="b_second")(x)


def test_a_network_that_is_not_ours(tmp_path: Path):
    with jax.numpy_rank_promotion("allow"):
        result, directory = report(tmp_path, from_linen(Odd(), (8, 8, 1)))
    assert json.loads((directory / "result.json").read_text()) == result
    assert result["parameters"] == 64 + 4 + 650
    assert {"data", "training_curves", "confusion_matrix", "predictions"} <= figures(directory)


def test_one_replica_has_no_standard_deviation(tmp_path: Path, capsys: pytest.CaptureFixture):
    result, _ = report(tmp_path, small())
    assert len(result["test"]["accuracy"]["values"]) == 1
    assert "±" not in capsys.readouterr().out.splitlines()[-1]


def test_replicas_in_two_axes_are_all_reported(tmp_path: Path):
    def wrap(learner):
        sweep = over_hyperparameters(
            lambda rate: supervised(small(), cross_entropy, optax.sgd(rate)),
            {"rate": jnp.array([0.1, 0.2, 0.3])},
        )
        return over_seeds(sweep, 2)

    result, directory = report(tmp_path, small(), wrap)
    assert len(result["test"]["accuracy"]["values"]) == 6
    assert result["parameters"] == 64 * 4 + 4 + 50
    assert "training_curves" in figures(directory)


def test_what_was_measured_is_kept_if_drawing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_, **__):
        raise ValueError("no ink")

    monkeypatch.setattr("dl_jax.plots.confusion_matrix", fail)
    with pytest.raises(ValueError, match="no ink"):
        report(tmp_path, small())
    assert (tmp_path / "run" / "result.json").is_file()


def test_outputs_that_are_not_finite(tmp_path: Path):
    model = small()

    def apply(params, state, inputs, *, train, key=None):
        outputs, state = model.apply(params, state, inputs, train=train, key=key)
        return (outputs if train else outputs * np.float32(np.nan)), state

    with pytest.raises(RunError, match=r"replica 0 never had a finite evaluation \(1 of 1"):
        report(tmp_path, model._replace(apply=apply))


@pytest.mark.parametrize(
    "targets",
    [
        np.arange(8, dtype=np.int32),
        np.arange(8, dtype=np.int32)[:, None],
        np.arange(-4, 4, dtype=np.int32),
        np.arange(8, dtype=np.int32) * 10**6,
        np.linspace(-1, 1, 8, dtype=np.float32)[:, None],
        np.arange(24, dtype=np.int32).reshape(8, 3),
    ],
    ids=["labels", "column", "negative", "large", "floats", "tokens"],
)
def test_the_figure_of_the_data_shows_any_targets(targets: np.ndarray):
    data = {split: Dataset("any", split, {"y": targets}) for split in ("train", "test")}
    assert data_figure(data, "y")().axes
