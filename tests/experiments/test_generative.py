"""What generative scripts refuse before they train, and what is drawn of games that are lost."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.experiments.scripts import TRAINED, module_of, start

GAN = module_of("generative.gan")
INVERSION = module_of("generative.autoencoder_inversion")


@pytest.mark.parametrize(
    ("script", "options", "said"),
    [
        ("gan", ("--critic-steps", "0"), "critic_steps is 0, expected at least 1"),
        ("gan", ("--critic-steps", "3"), "batch_size is 250, expected a multiple of critic_steps"),
        ("gan", ("--games", "wgan_gp", "wgan_gp"), "games is wgan_gp, wgan_gp, expected"),
        ("gan", ("--image-size", "9", "9"), "images of 9x9 pixels cannot be halved"),
        ("gan_plane", ("--critic-steps", "7"), "batch_size is 640, expected a multiple"),
        ("autoencoders", ("--labels", "2000"), "labels are 2000, expected at most"),
        ("autoencoders", ("--labels", "5", "5"), "labels is 5, 5, expected"),
        ("autoencoders", ("--patch", "3"), "patches of 3x3 pixels do not divide images of 8x8"),
        ("autoencoders", ("--noise", "masking", "--noise-level", "2"), "rate is 2.0"),
        ("autoencoder_inversion", ("--components", "65"), "components is 65, expected at most 64"),
        ("autoencoder_inversion", ("--filters", "2", "2", "2", "2"), "cannot halve examples"),
        ("manifold", ("--kinds", "vanilla", "vanilla"), "kinds is vanilla, vanilla"),
    ],
)
def test_bad_input_is_said_before_anything_is_trained(
    tmp_path, monkeypatch, capsys, script, options, said
):
    with pytest.raises(SystemExit) as end:
        start(monkeypatch, f"generative.{script}", *options, "--out", str(tmp_path))
    assert end.value.code == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.rglob("metrics.jsonl"))


def test_a_lost_game_is_marked_and_the_other_is_reported(tmp_path, monkeypatch, capsys):
    """Without bounds, least squares at such a learning rate are no numbers; clipped, they are."""
    options = "--games", "least_squares", "wgan_clip", "--examples", "2500", "--width", "8"
    start(
        monkeypatch, "generative.gan_plane", *options, "--average", "0", "--learning-rate", "1e6",
        "--beta2", "0", *TRAINED, "--seeds", "2", "--out", str(tmp_path), "--name", "run",
    )  # fmt: skip
    record = json.loads((tmp_path / "run" / "result.json").read_text())
    assert record["test"]["least_squares"]["modes"]["diverged"] == 2
    assert "least_squares  modes diverged" in capsys.readouterr().out
    assert (tmp_path / "run" / "figures" / "fields.png").is_file()


@pytest.mark.parametrize(
    ("script", "headline", "options"),
    [
        ("autoencoders", "accuracy", ("--learning-rate", "1", "--filters", "4", "--least-steps",
                                      "9", "--labels")),
        ("manifold", "neighbors", ("--learning-rate", "1e4", "--widths", "8", "--examples", "200")),
    ],
)  # fmt: skip
def test_autoencoders_that_are_lost_are_marked_and_the_others_reported(
    tmp_path, monkeypatch, capsys, script, headline, options
):
    """One of two replicas of one kind, and all of the other.

    At such a rate the variational one, whose loss is a sum over pixels, soon makes no numbers.
    """
    lose_first(monkeypatch, f"generative.{script}")
    start(
        monkeypatch, f"generative.{script}", "--kinds", "vanilla", "variational", *options,
        "--optimizer", "sgd", "--no-stop-on-nonfinite", *TRAINED, "--seeds", "2",
        "--out", str(tmp_path), "--name", "run",
    )  # fmt: skip
    record = json.loads((tmp_path / "run" / "result.json").read_text())
    lost, kept = record["test"]["vanilla"][headline]["values"]
    assert lost is None
    assert np.isfinite(kept)
    assert record["test"]["variational"][headline]["diverged"] == 2
    assert f"variational  {headline} diverged" in capsys.readouterr().out
    assert (tmp_path / "run" / "figures" / "codes.png").is_file()


@pytest.mark.parametrize(
    ("script", "headline", "options"),
    [
        ("autoencoder_inversion", "loss", ("--filters", "2", "--widths", "8", "--linear-fit.steps",
                                           "6", "--linear-fit.evaluate-every", "3")),
        ("gan", "frechet_distance", ("--games", "wgan_clip", "--width", "2", "--hidden-dim", "4",
                                     "--samples", "20", "--judge.steps", "6")),
    ],
)  # fmt: skip
def test_where_the_first_replica_is_lost_the_second_is_reported_and_drawn(
    tmp_path, monkeypatch, script, headline, options
):
    lose_first(monkeypatch, f"generative.{script}")
    start(
        monkeypatch, f"generative.{script}", *options, *TRAINED, "--seeds", "2",
        "--out", str(tmp_path), "--name", "run",
    )  # fmt: skip
    record = json.loads((tmp_path / "run" / "result.json").read_text())
    for measured in record["test"].values():
        lost, kept = measured[headline]["values"]
        assert lost is None
        assert np.isfinite(kept)
    assert any((tmp_path / "run" / "figures").iterdir())


def lose_first(monkeypatch, script):
    """Let the script train as if the first of two replicas never had a finite evaluation.

    What it draws of images must be of the other one.
    """
    module = module_of(script)
    train, draw = module.fit, module.plots.image_rows

    def lost(leaf):
        floats = jnp.issubdtype(leaf.dtype, jnp.inexact)
        return jnp.asarray(leaf).at[0].set(jnp.nan) if floats else leaf

    def fit(*given, **named):
        fitted = train(*given, **named)
        best, weights = jax.tree.map(lost, (fitted.best, fitted.weights))
        steps = np.where([True, False], -1, fitted.best_step)
        return fitted._replace(best=best, weights=weights, best_step=steps)

    def image_rows(rows):
        assert all(np.isfinite(images).all() for images in rows.values())
        return draw(rows)

    monkeypatch.setattr(module, "fit", fit)
    monkeypatch.setattr(module.plots, "image_rows", image_rows)


def test_a_level_that_says_nothing_has_no_alignment():
    x = np.random.default_rng(0).normal(size=(6, 2))
    assert INVERSION.alike(x, x)["cka"] == pytest.approx(1)
    assert np.isnan(INVERSION.alike(x, np.ones_like(x))["cka"])


def test_noise_goes_from_one_to_the_other_on_a_circle():
    random = np.random.default_rng(0)
    a, b = random.normal(size=(2, 50))
    b *= np.linalg.norm(a) / np.linalg.norm(b)
    path = GAN.great_circle(a, b, 7)
    np.testing.assert_allclose(path[[0, -1]], [a, b], rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), np.linalg.norm(a), rtol=1e-5)
    middle = (a + b) / np.linalg.norm(a + b)
    np.testing.assert_allclose(path[3] / np.linalg.norm(path[3]), middle, rtol=1e-5, atol=1e-6)
    assert np.isfinite(GAN.great_circle(a, -2 * a, 7)).all()


def test_a_level_that_gives_back_what_went_in_loses_nothing():
    """A linear autoencoder whose decoder is the inverse of its encoder; and one that gives 0."""
    images = np.random.default_rng(0).integers(0, 256, (40, 2, 2, 1), np.uint8)
    data = INVERSION.ImageDataset("few", "test", {"image": images, "label": np.zeros(40, int)}, ())
    model = INVERSION.autoencoder((2, 2, 1), (), 4)
    turned = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))[0][None]
    kernels = {"encoder": turned, "decoder": turned.transpose(0, 2, 1)}
    params = {
        name: {"latent": {"map": {"kernel": kernel, "bias": np.zeros((1, 4))}}}
        for name, kernel in kernels.items()
    }
    state = INVERSION.TrainState(np.zeros(1, int), params, {}, (), np.zeros(1))
    found = INVERSION.lost_of(model, 0, data)(state)
    np.testing.assert_allclose([found["latent_whole"], found["latent_alone"]], 0, atol=1e-6)
    params["decoder"]["latent"]["map"]["kernel"] *= 0
    params["decoder"]["latent"]["map"]["bias"] += images.reshape(40, 4).mean(0) / 255
    found = INVERSION.lost_of(model, 0, data)(state)
    np.testing.assert_allclose(found["latent_whole"], 1, rtol=1e-5)
