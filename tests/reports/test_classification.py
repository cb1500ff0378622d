"""The report of a classifier of images, whatever network it had."""

import json
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen

from dl_jax.errors import RunError, UsageError
from dl_jax.functional import cross_entropy
from dl_jax.learners import over_hyperparameters, over_seeds, supervised
from dl_jax.models import from_linen, mlp, with_preprocessing
from dl_jax.reports import classification, report_classification
from dl_jax.runs import RunOptions, open_run
from dl_jax.training import fit, make_evaluate
from experiments.quickstart import Config
from tests.training.tiny import NORMALIZE, tiny_config, tiny_data

FIGURES = {
    "data", "training_curves", "confusion_matrix", "calibration", "predictions",
    "confident_mistakes",
}  # fmt: skip


def trained(tmp_path: Path, model, wrap=lambda learner: learner):
    """A run, its learner and what came out of a few steps."""
    config = Config(run=RunOptions(out=tmp_path, name="run"), fit=tiny_config(steps=4))
    run = open_run("quickstart", config, config.run)
    learner = wrap(supervised(model, cross_entropy, optax.sgd(0.1)))
    return run, learner, fit(learner, tiny_data(), config.fit, run)


def small():
    return with_preprocessing(mlp((8, 8, 1), (4,), 10), NORMALIZE)


def figures(directory: Path) -> set[str]:
    return {path.stem for path in (directory / "figures").glob("*.png")}


def test_numbers_are_those_of_the_learner_itself(tmp_path: Path):
    data, model = tiny_data(), small()
    run, learner, fitted = trained(tmp_path, model, lambda learner: over_seeds(learner, 2))
    result = report_classification(
        run, model, fitted, data, first_kernel="dense1/kernel", source="0.9 (paper)"
    )
    assert json.loads((run.directory / "result.json").read_text()) == result
    own = make_evaluate(learner, 7)(fitted.best, data["test"]).means()
    for name in ("accuracy", "loss"):
        np.testing.assert_allclose(result["test"][name]["values"], own[name], rtol=1e-5)
    assert len(result["test"]["calibration_error"]["values"]) == 2
    assert set(result["test"]["per_class"]) == set(data["test"].classes)
    assert (result["headline"], result["source"]) == ("accuracy", "0.9 (paper)")
    assert result["parameters"] == 64 * 4 + 4 + 50
    assert figures(run.directory) == {*FIGURES, "first_layer_filters"}


class Odd(linen.Module):
    """A parameter at the top, and a first kernel that does not see the image."""

    @linen.compact
    def __call__(self, x, train):
        offset = self.param("a_first", linen.initializers.zeros, (64,))
        x = linen.Conv(2, (1, 1), name="convolution")(x).reshape(x.shape[0], -1)[:, :64] + offset
        return linen.Dense(10, name="b_second")(x)


def test_a_network_that_is_not_ours(tmp_path: Path):
    model = from_linen(Odd(), (8, 8, 1))
    with jax.numpy_rank_promotion("allow"):
        run, _, fitted = trained(tmp_path, with_preprocessing(model, NORMALIZE))
        result = report_classification(
            run, with_preprocessing(model, NORMALIZE), fitted, tiny_data()
        )
    assert result["parameters"] == 64 + 4 + 650
    assert figures(run.directory) == FIGURES


def test_replicas_in_two_axes_are_all_reported(tmp_path: Path):
    def wrap(learner):
        sweep = over_hyperparameters(
            lambda rate: supervised(small(), cross_entropy, optax.sgd(rate)),
            {"rate": jnp.array([0.1, 0.2, 0.3])},
        )
        return over_seeds(sweep, 2)

    run, _, fitted = trained(tmp_path, small(), wrap)
    result = report_classification(run, small(), fitted, tiny_data())
    assert len(result["test"]["accuracy"]["values"]) == 6
    assert result["parameters"] == 64 * 4 + 4 + 50
    assert len(result["best_step"]) == 6


def test_what_a_report_cannot_do_is_said_before_anything_is_written(tmp_path: Path):
    data, model = tiny_data(), small()
    run, _, fitted = trained(tmp_path, model)

    def diverged(params, state, inputs, *, train, key=None):
        outputs, state = model.apply(params, state, inputs, train=train, key=key)
        return outputs * np.float32(np.nan), state

    never = fitted._replace(best_step=np.array(-1))
    for arguments, options, error, said in (
        ((model, fitted, {"train": data["train"]}), {}, UsageError, "needs a test set.* has train"),
        ((model, fitted, data), {"first_kernel": "dense/kernel"}, UsageError,
         "first_kernel is 'dense/kernel', expected one of .*did you mean 'dense1/kernel'"),
        ((model._replace(apply=diverged), fitted, data), {}, RunError,
         r"replica 0 has outputs that are not finite \(1 of 1 have\)"),
        ((model, never, data), {}, RunError, r"replica 0 never had a finite evaluation \(1 of 1"),
    ):  # fmt: skip
        with pytest.raises(error, match=said):
            report_classification(run, *arguments, **options)
    assert not (run.directory / "result.json").exists()


def test_images_that_cannot_be_shown_have_no_grids():
    """Two channels: neither gray nor color."""
    test = tiny_data()["test"]
    images = np.repeat(test.arrays["image"][:], 2, axis=-1)
    test = replace(test, arrays={**test.arrays, "image": images})

    def apply(params, state, inputs, *, train, key=None):
        return inputs.reshape(len(inputs), -1)[:, :10].astype(jnp.float32) * params["scale"], state

    model = small()._replace(apply=apply)
    found = classification(model, ({"scale": jnp.ones((2, 1, 1))}, {}), test)
    assert set(found.figures) == {"confusion_matrix", "calibration"}
    assert found.measured["accuracy"].shape == (2,)
