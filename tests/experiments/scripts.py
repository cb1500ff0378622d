"""The scripts with the options that make them small, and what each of them draws."""

import importlib
from typing import Any, NamedTuple

import pytest

from dl_jax.runs import launch

CLASSIFIER = {
    "training_curves", "confusion_matrix", "predictions", "confident_mistakes", "calibration",
    "first_layer_filters",
}  # fmt: skip


class Script(NamedTuple):
    """options: that make it small. figures: beside that of the data.

    described: folders of the run that `load_run` reads. on_images: whether those are classifiers
    of images. repeats: whether the second time gives the same numbers. rendered: whether its
    figures are, which those that another row has need not be. slow: a deep network, minutes long:
    left out unless asked for. needs: a library without which it cannot run.
    """

    options: tuple[str, ...]
    figures: set[str]
    described: tuple[str, ...] = (".",)
    on_images: bool = False
    repeats: bool = True
    rendered: bool = True
    slow: bool = False
    needs: str | None = None


TRAINED = ("--steps", "6", "--evaluate-every", "3", "--batch-size", "20")
VISION = ("--dataset", "digits", "--seeds", "2", *TRAINED)
SCRIPTS = {
    "quickstart": Script(("--model", "cnn", *VISION), CLASSIFIER, on_images=True),
    "vision.mnist_mlp": Script(
        ("--depth", "2", "--width", "16", *VISION), CLASSIFIER, on_images=True, rendered=False
    ),
    "vision.mnist_cnn": Script(
        ("--model", "whitened_cnn", "--filters", "4", "4", "--label-smoothing", "0.1", *VISION),
        CLASSIFIER - {"first_layer_filters"},
        on_images=True,
        rendered=False,
    ),
    "vision.fashion_mlp": Script(("--widths", *VISION), CLASSIFIER, on_images=True, rendered=False),
    "vision.fashion_cnn": Script(
        ("--filters", "4", "8", "--widths", "8", "--compute-dtype", "bfloat16", *VISION),
        CLASSIFIER,
        rendered=False,
    ),
    "vision.fashion_best": Script(
        ("--widths", "8", "8", "--cutout", "2", *VISION),
        CLASSIFIER - {"first_layer_filters"},
        rendered=False,
    ),
    "vision.fashion_vgg16": Script(
        ("--dataset", "digits", "--image-size", "32", "32", "--classifier", "8", *TRAINED),
        CLASSIFIER,
        on_images=True,
        rendered=False,
        slow=True,
    ),
    "vision.cifar": Script(
        ("--widths", "8", "8", "--cutout", "2", "--cutmix", "--average", "0.9", *VISION),
        CLASSIFIER - {"first_layer_filters"},
        rendered=False,
    ),
    "vision.inside": Script(
        (
            "--dataset",
            "digits",
            "--width",
            "2",
            "--evidence-layer",
            "relu1_1",
            "--points",
            "100",
            "--resolution",
            "4",
            *TRAINED,
        ),
        CLASSIFIER | {"features", "evidence_right", "evidence_wrong", "regions", "points"},
        on_images=True,
        slow=True,
    ),
    "vision.landscapes": Script(
        ("--dataset", "digits", "--width", "2", "--points", "3", "--examples", "20", *TRAINED),
        {"landscapes"},
        (),
        slow=True,
    ),
    "sequence.imdb": Script(
        (
            "--dataset",
            "sentiment",
            "--max-length",
            "20",
            "--embedding-dim",
            "4",
            "--hidden-dim",
            "4",
            "--seeds",
            "2",
            "--part",
            "8",
            "--word-dropout-rate",
            "0.2",
            "--bag.steps",
            "4",
            "--bag.batch-size",
            "20",
            *TRAINED,
        ),
        {"lengths", "words", "embedding"},
        ("lstm", "mean_embedding"),
    ),
    "sequence.reset_cell": Script(
        (
            "--cells",
            "reset_rnn",
            "lstm",
            "--lengths",
            "4",
            "--hidden-dim",
            "4",
            "--examples",
            "80",
            "--texts",
            "20",
            "--seeds",
            "2",
            *TRAINED,
        ),
        {"lengths", "gradients"},
        (),
    ),
    "sequence.gradients": Script(
        (
            "--hidden-dim",
            "4",
            "--radii",
            "0.5",
            "1e20",  # diverges
            "--clips",
            "1e30",
            "--repeats",
            "2",
            "--rollout",
            "5",
            "--window",
            "10",
            "--length",
            "200",
            *TRAINED,
        ),
        {"flow", "training", "prediction", "training_curves"},
    ),
    "sequence.sst2": Script(
        (
            "--dataset",
            "sentiment",
            "--max-length",
            "12",
            "--embedding-dim",
            "4",
            "--hidden-dim",
            "4",
            "--cells",
            "lstm",
            "--windows",
            "2",
            "0",
            "--seeds",
            "2",
            *TRAINED,
        ),
        {"accuracy", "gradient_norm"},
        ("lstm,_2", "lstm,_all"),
    ),
    "language.char_lm": Script(
        (
            *("--window", "8", "--width", "6", "--num-layers", "1", "--temperature", "1"),
            *("--seeds", "2", *TRAINED),
        ),
        {"training_curves", "loss_by_position", "attention"},
    ),
    "language.music": Script(
        (
            *("--width", "8", "--num-layers", "1", "--window", "4", "--transpose", "0"),
            *("--seeds", "2", *TRAINED),
        ),
        {"loss", "pieces"},
        ("lstm", "transformer"),
    ),
    "language.summarize": Script(
        (
            *("--count", "640", "--min-count", "12", "--width", "8", "--num-heads", "2"),
            *("--num-layers", "1", "--beams", "2", "--seeds", "2", *TRAINED),
        ),
        {"training_curves", "rouge", "attention"},
        needs="rouge_score",
    ),
    "language.summarize, extractive": Script(
        (
            *("--method", "extractive", "--count", "640", "--min-count", "12", "--width", "8"),
            *("--num-heads", "2", "--num-layers", "1", "--seeds", "2", *TRAINED),
        ),
        {"training_curves", "rouge"},
        rendered=False,
        needs="rouge_score",
    ),
    "language.masked_lm": Script(
        (
            *("--width", "8", "--num-heads", "2", "--num-layers", "1", "--max-length", "12"),
            *("--task.max-length", "10", "--task-fit.steps", "4", "--task-fit.batch-size", "20"),
            *("--seeds", "2", *TRAINED),
        ),
        {"words", "task"},
        ("masked_language_model", "fine-tuning", "from_nothing"),
    ),
    "language.algorithms": Script(
        (
            *("--length", "2", "--width", "8", "--num-layers", "1", "--examples", "100"),
            *("--tasks", "add", "--positions", "rotary", "--tested", "3"),
            *("--seeds", "2", *TRAINED),
        ),
        {"lengths"},
        ("add,_rotary",),
    ),
    "generative.gan_plane": Script(
        (
            *("--games", "wgan_gp", "hinge_sn", "--dataset", "grid_of_gaussians", "--width", "8"),
            *("--examples", "2500", "--seeds", "2", *TRAINED),
        ),
        {"fields", "comparison"},
        ("wgan_gp", "hinge_sn"),
    ),
    "generative.gan": Script(
        (
            *("--dataset", "digits", "--width", "4", "--latent-dim", "3", "--conditional"),
            *("--critic-steps", "2", "--samples", "20", "--judge.steps", "2", "--seeds", "2"),
            *TRAINED,
        ),
        {"samples", "over_training", "interpolation", "neighbors", "comparison"},
        ("wgan_gp",),
    ),
    "generative.autoencoder_inversion": Script(
        (
            *("--dataset", "digits", "--widths", "6", "--filters", "2", "3", "--latent-dim", "4"),
            *("--components", "2", "--linear-fit.steps", "3", "--seeds", "2", *TRAINED),
        ),
        {"levels", "alignment", "over_training", "pictures"},
        ("dense", "convolutional", "linear"),
    ),
    "generative.autoencoders": Script(
        (
            *("--dataset", "digits", "--filters", "2", "--latent-dim", "4", "--patch", "2"),
            *("--kinds", "masked", "variational", "--labels", "--least-steps", "4"),
            *("--tune.epochs", "0.1", "--seeds", "2", *TRAINED),
        ),
        {"reconstructions", "codes", "samples", "interpolation", "probes", "fine_tuning"},
        ("masked", "variational"),
    ),
    "generative.manifold": Script(
        (
            *("--examples", "40", "--dimensions", "4", "--widths", "6"),
            *("--kinds", "denoising", "variational", "--seeds", "2", *TRAINED),
        ),
        {"codes", "losses"},
        (),
    ),
    "vision.transfer": Script(
        (
            "--pretrain-on",
            "shapes",
            "--pretrain-classes",
            "bar",
            "disk",
            "--width",
            "2",
            "--transfer-to",
            "shapes",
            "--transfer-classes",
            "star",
            "ring",
            "--fractions",
            "0.1",
            "--seeds",
            "2",
            "--least-steps",
            "4",
            "--epochs",
            "0.1",
            "--pretrain.epochs",
            "0.1",
        ),
        {"transfer"},
        (),
        slow=True,
    ),
    "vision.layers": Script(
        (
            "--dataset",
            "shapes",
            "--first-classes",
            "bar",
            "disk",
            "--second-classes",
            "star",
            "ring",
            "--width",
            "2",
            "--probes",
            "100",
            *TRAINED,
        ),
        {"layers", "alignment"},
        (),
        slow=True,
    ),
    "basics.regression": Script(
        ("--widths", "4", "--seeds", "2", *TRAINED), {"fit", "training_curves"}
    ),
    "basics.logistic": Script(
        ("--degree", "2", "--examples", "60", "--seeds", "2", *TRAINED),
        {"decision_boundary", "training_curves"},
    ),
    "basics.toy_classification": Script(
        ("--dataset", "xor", "--examples", "60", "--loss", "l2", "--seeds", "2", *TRAINED),
        {"decision_boundary", "training_curves"},
    ),
    "basics.three_ways": Script(
        ("--width", "8", "--filters", "4", *TRAINED),
        {"losses"},
        ("by_hand", "jax.grad", "flax_module"),
        on_images=True,
    ),
    "basics.optimizers_and_initializers": Script(
        ("--width", "8", "--depths", "1", "2", *TRAINED),
        {"validation_accuracy", "test_accuracy", "activations", "gradients"},
        (),
    ),
    "basics.batchnorm_dropout": Script(
        ("--width", "8", "--depth", "2", "--examples", "60", *TRAINED),
        {"training_loss", "validation_accuracy", "gradient_flow"},
        (),
    ),
    "basics.custom_layers": Script(
        ("--width", "16", "--parts", "2", "--seeds", "2", *TRAINED),
        {"accuracy"},
        (),
        repeats=False,  # it measures its speed
    ),
    "basics.quantile_labels": Script(
        ("--widths", "8", "--bins", "4", "--seeds", "2", *TRAINED),
        {"class_balance", "confusion_quantile", "confusion_uniform"},
        ("quantile", "uniform"),
    ),
    "basics.loss_landscape": Script(
        ("--width", "8", "--depth", "1", "--points", "5", *TRAINED),
        {"landscape", "training_curves"},
        on_images=True,
    ),
}

NAMES = [*(name for name in SCRIPTS if "," not in name), "basics.optimize_surface"]


def module_of(script: str) -> Any:
    """The module of a script, what follows a comma being its variant."""
    return importlib.import_module(f"experiments.{script.split(',')[0]}")


def start(monkeypatch: pytest.MonkeyPatch, script: str, *options: str) -> None:
    """The script as its command would run it, in this process."""
    module = module_of(script)
    monkeypatch.setattr("sys.argv", [script, *options])
    launch(module.Config, module.main)
