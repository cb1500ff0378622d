"""Every experiment from start to figures on its small data, and its command line."""

import dataclasses
import importlib
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import pytest

from dl_jax.runs import launch, load_run
from dl_jax.runs.launch import parse
from dl_jax.training import predict

ROOT = Path(__file__).parents[2]
CLASSIFIER = {
    "training_curves", "confusion_matrix", "predictions", "confident_mistakes", "calibration",
    "first_layer_filters",
}  # fmt: skip


class Script(NamedTuple):
    """options: that make it small. figures: beside that of the data.

    described: folders of the run that `load_run` reads. on_images: whether those are classifiers
    of images. repeats: whether the second time gives the same numbers. rendered: whether its
    figures are, which those that another row has need not be. slow: a deep network, minutes long:
    left out unless asked for.
    """

    options: tuple[str, ...]
    figures: set[str]
    described: tuple[str, ...] = (".",)
    on_images: bool = False
    repeats: bool = True
    rendered: bool = True
    slow: bool = False


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
            "1",
            "--clips",
            "1",
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
            "rnn",
            "lstm",
            "--windows",
            "2",
            "0",
            "--seeds",
            "2",
            *TRAINED,
        ),
        {"accuracy", "gradient_norm"},
        (),
    ),
    "language.char_lm": Script(
        (
            "--dataset",
            "python",
            "--window",
            "8",
            "--embedding-dim",
            "4",
            "--hidden-dim",
            "4",
            "--seeds",
            "2",
            *TRAINED,
        ),
        {"training_curves"},
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
NAMES = [*SCRIPTS, "basics.optimize_surface"]


def module_of(script: str) -> Any:
    return importlib.import_module(f"experiments.{script}")


def start(monkeypatch: pytest.MonkeyPatch, script: str, *options: str) -> None:
    """The script as its command would run it, in this process."""
    module = module_of(script)
    monkeypatch.setattr("sys.argv", [script, *options])
    launch(module.Config, module.main)


def drawn(run: Path) -> set[str]:
    return {path.stem for path in (run / "figures").glob("*.png")}


@pytest.mark.parametrize(
    "script",
    [pytest.param(n, marks=[pytest.mark.slow] if s.slow else []) for n, s in SCRIPTS.items()],
)
def test_a_script_runs_draws_resumes_and_can_be_read_back(
    request, tmp_path, monkeypatch, capsys, script
):
    """The second time, figures are made and not rendered."""
    described = SCRIPTS[script]
    if not described.rendered:
        request.getfixturevalue("without_rendering")
    run, records, options = tmp_path / "run", [], (*described.options, "--out", str(tmp_path))
    for resume in ((), ("--resume",)):
        start(monkeypatch, script, *options, "--name", "run", *resume)
        records.append(json.loads((run / "result.json").read_text()))
        assert f"result.json in {run}" in capsys.readouterr().out
        assert drawn(run) == {"data", *described.figures}
        request.getfixturevalue("without_rendering")
    first, again = (record["test"] for record in records)
    if described.repeats:
        assert first == again
    headline = records[0]["headline"]
    each = {".": first} if headline in first else first
    assert all(isinstance(of[headline]["mean"], float) for of in each.values())
    for folder, of in zip(described.described, each.values(), strict=False):
        loaded = load_run(run / folder, replica=0)
        if described.on_images:
            test = parse(module_of(script).Config, list(options)).data.load()["test"]
            logits = predict(loaded.model, loaded.params, loaded.model_state, test)
            right = (logits.argmax(-1) == test.arrays["label"]).mean()
            assert right == of["accuracy"]["values"][0]


def test_optimize_surface(tmp_path: Path, monkeypatch):
    for surface in ("rosenbrock", "rastrigin"):
        start(
            monkeypatch, "basics.optimize_surface", "--surface", surface, "--steps", "5",
            "--out", str(tmp_path), "--name", surface,
        )  # fmt: skip
        record = json.loads((tmp_path / surface / "result.json").read_text())
        assert set(record["last"]) == {"sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"}
        assert drawn(tmp_path / surface) == {"paths", "heights"}


def test_all_experiments_are_listed_with_one_line_each():
    result = subprocess.run(
        [sys.executable, "-m", "experiments"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    flat = " ".join(result.stdout.split())
    assert all(script in flat for script in NAMES)
    assert "Quick start" in flat


@pytest.mark.parametrize("script", NAMES)
def test_help_explains_every_field(capsys, script: str):
    config_class = module_of(script).Config
    with pytest.raises(SystemExit) as end:
        parse(config_class, ["--help"])
    assert end.value.code == 0
    said = " ".join(re.sub("[│╭╮╰╯─]", " ", capsys.readouterr().out).split())
    for path, _, _ in leaves(config_class):
        assert re.search(rf"--{path[-1].replace('_', '-')}[, ]", said), path
    assert "Folder that holds the directories of runs." in said


def leaves(config_class, path=()):
    """Path, type and default of every plain field of a configuration and of those within it."""
    hints = get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        here, default = (*path, field.name), field.default
        if dataclasses.is_dataclass(default):
            for inner, hint, _ in leaves(type(default), here):
                value = default
                for name in inner[len(here) :]:
                    value = getattr(value, name)
                yield inner, hint, value
        else:
            yield here, hints[field.name], default


OTHER = {
    "image_size": (16, 24), "steps": 7, "name": "mine", "data_dir": Path("data"), "require": "cpu",
    "dataset": "cifar10", "monitor": "loss", "out": Path("elsewhere"), "target": "price",
    "warmup": 0.25, "animate": 3, "width": 140, "parts": 5, "fractions": (0.25, 0.5),
}  # fmt: skip


def another(name: str, hint: Any, value: Any) -> Any:
    """A value that is not the default."""
    if isinstance(value, bool):
        return not value
    if get_origin(hint) is Literal:
        return next(choice for choice in get_args(hint)[::-1] if choice != value)
    if name in OTHER:
        return OTHER[name] if OTHER[name] != value else "accuracy"
    if isinstance(value, str):
        return "another"
    if isinstance(value, tuple) and get_origin(get_args(hint)[0]) is Literal:
        return get_args(get_args(hint)[0])[:1]
    if isinstance(value, tuple):
        return ("one", "two") if get_args(hint)[0] is str else (3, 5)
    return type(value)(value + 1 if isinstance(value, int) else value / 2 + 0.125)


def as_options(path: tuple[str, ...], value: Any) -> list[str]:
    """What stands on the command line; the four configurations that all scripts have need no name.

    As in `--steps 7`, `--no-flip` and `--pretrain.steps 7`.
    """
    *outer, name = [part.replace("_", "-") for part in path]
    outer = [] if path[0] in ("data", "fit", "optimizer", "run") else outer
    option = "--" + ".".join([*outer, f"no-{name}" if value is False else name])
    if isinstance(value, bool):
        return [option]
    values = value if isinstance(value, tuple) else (value,)
    return [option, *map(str, values)]


@pytest.mark.parametrize("script", NAMES)
def test_every_field_can_be_set(script: str):
    config_class = module_of(script).Config
    expected = {path: another(path[-1], hint, v) for path, hint, v in leaves(config_class)}
    options = [word for path, value in expected.items() for word in as_options(path, value)]
    config = parse(config_class, options)
    for path, hint, default in leaves(config_class):
        value = config
        for name in path:
            value = getattr(value, name)
        assert value == expected[path] != default, (path, hint)


RENAMED = {"mirror": "flip"}


@pytest.mark.parametrize("path", sorted((ROOT / "results").glob("*.json")), ids=lambda p: p.stem)
def test_recorded_commands_still_say_what_was_run(path: Path):
    """Also where a field has moved into a nested configuration since."""
    record = json.loads(path.read_text())
    words = shlex.split(record["command"])
    config = parse(module_of(words[2].removeprefix("experiments.")).Config, words[3:])
    present = dict(plain_leaves(dataclasses.asdict(config)))
    for name, value in plain_leaves(record["config"]):
        assert present[RENAMED.get(name, name)] == value, name


def plain_leaves(values: dict):
    for name, value in values.items():
        if isinstance(value, dict):
            yield from plain_leaves(value)
        else:
            yield name, list(value) if isinstance(value, tuple) else value


@pytest.mark.slow
@pytest.mark.parametrize(("model", "least"), [("mlp", 0.97), ("cnn", 0.98)])
def test_the_quick_start_reaches_the_promised_accuracy(tmp_path, monkeypatch, model, least):
    start(monkeypatch, "quickstart", "--model", model, "--out", str(tmp_path), "--name", "run",
          "--seeds", "3")  # fmt: skip
    record = json.loads((tmp_path / "run" / "result.json").read_text())
    assert record["test"]["accuracy"]["mean"] >= least
