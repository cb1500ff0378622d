"""A trained run is read back by anyone, or refused in one sentence."""

import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dl_jax.errors import RunError, UsageError
from dl_jax.functional import cross_entropy
from dl_jax.learners import averaged, over_seeds, sharded, supervised
from dl_jax.learners import local_mesh as make_mesh
from dl_jax.models import mlp, on_images, standardize, with_preprocessing
from dl_jax.runs import Run, load_run
from dl_jax.training import fit
from tests.runs.damage import flip_byte
from tests.training.tiny import assert_same_bits, tiny_config, tiny_data

STATISTICS = np.array([0.3], np.float32), np.array([0.4], np.float32)
ARGUMENTS = {"input_shape": (8, 8, 1), "widths": (8,), "num_classes": 10}


def trained(folder: Path, wrap=lambda learner: learner, **changes):
    """A described run, its model and what `fit` gave."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"config": {"width": 8}}))
    run = Run(folder)
    run.describe("mlp", ARGUMENTS, files={"vocabulary.json": "[]"}, statistics=STATISTICS)
    model = with_preprocessing(mlp(**ARGUMENTS), standardize(*STATISTICS))
    learner = wrap(supervised(model, cross_entropy, optax.adam(1e-2)))
    return model, fit(learner, tiny_data(), tiny_config(**changes), run)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("loaded") / "run"
    return folder, *trained(folder, lambda learner: over_seeds(learner, 3))


def test_the_best_parameters_of_a_replica_come_back_to_the_bit(one):
    folder, model, fitted = one
    loaded = load_run(folder, replica=2)
    assert_same_bits(loaded.params, jax.tree.map(lambda leaf: leaf[2], fitted.best.params))
    assert loaded.config == {"width": 8}
    assert loaded.files == {"vocabulary.json": folder / "vocabulary.json"}
    images = jnp.asarray(tiny_data()["test"].arrays["image"][:])
    ours, theirs = (m.apply(loaded.params, {}, images, train=False) for m in (loaded.model, model))
    np.testing.assert_array_equal(ours[0], theirs[0])


def test_what_is_loaded_is_what_was_validated(tmp_path: Path):
    _, fitted = trained(tmp_path / "run", lambda learner: averaged(learner, 0.9))
    assert_same_bits(load_run(tmp_path / "run").params, fitted.best.params)
    rows = [row for row in fitted.history if row["split"] == "validation"]
    best = max(rows, key=lambda row: (row["accuracy"], -row["loss"]))
    assert int(fitted.best_step) == best["step"]


def test_a_run_of_eight_devices_is_read_on_one(tmp_path: Path):
    mesh = make_mesh()
    _, fitted = trained(tmp_path / "run", lambda learner: sharded(learner, mesh))
    assert_same_bits(load_run(tmp_path / "run").params, fitted.best.params)


def test_a_part_of_a_run_is_read(tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps({"config": {"width": 8}}))
    part = Run(tmp_path).part("second")
    part.describe("mlp", ARGUMENTS, statistics=STATISTICS)
    model = with_preprocessing(mlp(**ARGUMENTS), standardize(*STATISTICS))
    learner = supervised(model, cross_entropy, optax.adam(1e-2))
    fitted = fit(learner, tiny_data(), tiny_config(), part)
    loaded = load_run(part.directory)
    assert_same_bits(loaded.params, fitted.best.params)
    assert loaded.config == {"width": 8}


def edit(path: Path, **changes) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


REFUSED = {
    "no run": (lambda folder: None, 0, "there is no .*model.json"),
    "which replica": (lambda folder: None, None, r"holds 3 replicas: choose one, replica=0 to 2"),
    "no such replica": (lambda folder: None, 3, "replica is 3, expected .* at most 2"),
    "another model": (
        lambda folder: edit(folder / "model.json", model="system"), 0, "model is 'system', expected"
    ),
    "a network of another library": (
        lambda folder: edit(folder / "model.json", model="from_linen"), 0, "model is 'from_linen'"
    ),
    "another architecture": (
        lambda folder: edit(
            folder / "model.json", arguments={**ARGUMENTS, "widths": [9]}
        ), 0, r"is another today: params/dense1/bias is float32\[8\] there and float32\[9\] here",
    ),
    "unknown arguments": (
        lambda folder: edit(folder / "model.json", arguments={"depth": 2}), 0, "does not take"
    ),
    "no description": (
        lambda folder: (folder / "model.json").write_text("[]"), 0, "cannot be used"
    ),
    "a changed file": (
        lambda folder: (folder / "vocabulary.json").write_text("[1]"), 0, "was changed since"
    ),
    "no checkpoint": (
        lambda folder: (folder / "checkpoints").rename(folder / "moved"), 0, "no checkpoint yet"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_loaded_is_one_sentence(tmp_path: Path, one, name: str):
    change, replica, said = REFUSED[name]
    folder = tmp_path / "run"
    shutil.copytree(one[0], folder)
    change(folder)
    with pytest.raises(UsageError, match=said):
        load_run(tmp_path / "none" if name == "no run" else folder, replica=replica)


def test_a_damaged_checkpoint_is_noticed_and_the_one_before_is_read(tmp_path: Path, one):
    folder = tmp_path / "run"
    shutil.copytree(one[0], folder)
    older, newest = sorted((folder / "checkpoints").iterdir(), key=lambda path: int(path.name))
    flip_byte(newest)
    with pytest.warns(UserWarning, match=f"of step {newest.name} is damaged .*step {older.name}"):
        load_run(folder, replica=0)
    flip_byte(older)
    with pytest.raises(RunError, match="every checkpoint in .* is damaged"):
        load_run(folder, replica=0)


@pytest.mark.parametrize("harm", ["copied", "linked"])
def test_a_checkpoint_that_took_the_place_of_another_is_not_read(tmp_path: Path, one, harm: str):
    folder = tmp_path / "run"
    shutil.copytree(one[0], folder)
    newest = max((folder / "checkpoints").iterdir(), key=lambda path: int(path.name))
    if harm == "copied":
        shutil.copytree(newest, newest.with_name("99"))
    else:
        newest.with_name("99").symlink_to(newest)
    with pytest.warns(UserWarning, match=f"of step 99 is damaged .*step {newest.name}"):
        load_run(folder, replica=0)


def test_a_network_computes_in_the_type_that_it_was_trained_in(tmp_path: Path):
    run = Run(tmp_path)
    run.describe("mlp", ARGUMENTS, statistics=STATISTICS, compute_dtype="bfloat16")
    model = on_images(mlp(**ARGUMENTS), STATISTICS, "bfloat16")
    learner = supervised(model, cross_entropy, optax.adam(1e-2))
    fitted = fit(learner, tiny_data(), tiny_config(), run)
    (tmp_path / "config.json").write_text(json.dumps({"config": {}}))
    images = jnp.asarray(tiny_data()["test"].arrays["image"][:])
    ours, theirs = (
        m.apply(fitted.best.params, {}, images, train=False)[0]
        for m in (load_run(tmp_path).model, model)
    )
    np.testing.assert_array_equal(ours, theirs)


def test_a_replica_that_was_never_finite_is_refused(tmp_path: Path):
    def diverging(learner):
        model = with_preprocessing(mlp(**ARGUMENTS), standardize(*STATISTICS))
        return supervised(model, cross_entropy, optax.sgd(float("nan")))

    trained(tmp_path / "run", diverging, stop_on_nonfinite=False)
    with pytest.raises(RunError, match="replica 0 of .* has no finite evaluation"):
        load_run(tmp_path / "run")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "mpl"}, "model is 'mpl', expected one of .*mlp"),
        ({"arguments": {"widths": jnp.ones(2)}}, "expected plain values by name, as JSON"),
        ({"arguments": {"widths": (8,)}}, "does not take its arguments"),
        ({"arguments": {**ARGUMENTS, "kernel_init": "he_normal"}}, "does not take its arguments"),
        ({"statistics": ([0.1], [-1.0])}, "a positive std"),
        ({"compute_dtype": "int8"}, "expected a floating-point type"),
        ({"files": {"../config.json": ""}}, "a file of mlp is named '../config.json', expected a"),
    ],
)
def test_a_description_that_could_not_be_loaded_is_refused(tmp_path: Path, change, said):
    with pytest.raises(UsageError, match=said):
        Run(tmp_path).describe(**{"model": "mlp", "arguments": ARGUMENTS, **change})
    assert not list(tmp_path.iterdir())
