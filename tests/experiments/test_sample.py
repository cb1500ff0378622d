"""Samples of trained generators, as pictures; and runs that have none."""

import json
from pathlib import Path

import numpy as np
import optax
import pytest
from PIL import Image

from dl_jax import models
from dl_jax.data import Dataset
from dl_jax.learners import GAMES, Learner, over_seeds, reconstructing, variational
from dl_jax.models import mlp_critic, wgan_critic
from dl_jax.runs import Run
from dl_jax.training import FitConfig, fit
from tests.experiments.scripts import start

SGD = optax.sgd(1e-3)
SIZES = {
    "wgan_generator": {"image_shape": (8, 8, 1), "latent_dim": 2, "width": 2, "num_classes": 3},
    "mlp_generator": {"features": 2, "latent_dim": 3, "widths": (4,)},
    "variational_autoencoder": {"input_shape": (8, 8, 1), "widths": (4,), "latent_dim": 2},
    "autoencoder": {"input_shape": (8, 8, 1), "widths": (4,), "latent_dim": 2},
}


def learner_of(name: str) -> Learner:
    model = getattr(models, name)(**SIZES[name])
    if name == "autoencoder":
        return reconstructing(model, SGD)
    if name == "variational_autoencoder":
        return variational(model, SGD)
    game, plane = GAMES["standard"], name == "mlp_generator"
    critic = mlp_critic(2, (4,)) if plane else wgan_critic((8, 8, 1), width=2, num_classes=3)
    inputs, labels = ("point", None) if plane else ("image", "label")
    return game.learner(model, critic, (SGD, SGD), latent_dim=SIZES[name]["latent_dim"],
                        inputs=inputs, labels=labels)  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of each kind, of two replicas."""
    folder = tmp_path_factory.mktemp("runs")
    random = np.random.default_rng(0)
    arrays = {
        "image": random.random((8, 8, 8, 1), np.float32),
        "point": random.random((8, 2), np.float32),
        "label": np.arange(8, dtype=np.int32) % 3,
    }
    for name, sizes in SIZES.items():
        (folder / name).mkdir()
        (folder / name / "config.json").write_text(json.dumps({"config": {}}))
        run = Run(folder / name)
        run.describe(name, sizes, part="generator" if "generator" in name else None)
        config = FitConfig(steps=1, batch_size=8)
        fit(
            over_seeds(learner_of(name), 2), {"train": Dataset("few", "train", arrays)}, config, run
        )
    return folder


@pytest.mark.parametrize("name", [name for name in SIZES if name != "autoencoder"])
def test_samples_are_drawn(runs, tmp_path, monkeypatch, capsys, name):
    """The same with the same seed, others with another, and of the replica that is asked for."""
    pictures = []
    for more in ((), (), ("--seed", "1"), ("--replica", "1")):
        path = tmp_path / "new" / "grid.png"
        options = more if "--replica" in more else (*more, "--replica", "0")
        start(monkeypatch, "generative.sample", "--run", str(runs / name), "--out", str(path),
              "--count", "5", *options)  # fmt: skip
        assert f"5 samples in {path}" in capsys.readouterr().out
        with Image.open(path) as picture:
            pictures.append(np.asarray(picture))
    first, again, other, second = pictures
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("autoencoder", ("--replica", "0"), "holds autoencoder, expected a generator"),
        ("wgan_generator", (), "holds 2 replicas: choose one"),
        ("nothing", (), "is no run"),
        ("wgan_generator", ("--count", "0"), "count is 0"),
        ("wgan_generator", ("--out", "grid.jpg"), "out is 'grid.jpg', expected a name"),
    ],
)
def test_what_cannot_be_sampled_is_said_in_one_sentence(
    runs, monkeypatch, capsys, tmp_path, name, options, said
):
    with pytest.raises(SystemExit) as end:
        start(monkeypatch, "generative.sample", "--run", str(runs / name),
              "--out", str(tmp_path / "grid.png"), *options)  # fmt: skip
    assert end.value.code == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.iterdir())
