"""The command lines of the experiments: every field an option, every option explained."""

import dataclasses
import json
import re
import shlex
from collections import defaultdict
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from dl_jax.runs.launch import parse
from tests.experiments.scripts import NAMES, module_of

ROOT = Path(__file__).parents[2]


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
    "num_layers": 3, "critic_steps": 10, "batch_size": 160,
    "render": Path("font.sf2"), "min_count": 12,
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
    present = defaultdict(list)  # two trainings have two numbers of epochs
    for name, value in plain_leaves(dataclasses.asdict(config)):
        present[name].append(value)
    for name, value in plain_leaves(record["config"]):
        assert value in present[RENAMED.get(name, name)], name


def plain_leaves(values: dict):
    for name, value in values.items():
        if isinstance(value, dict):
            yield from plain_leaves(value)
        else:
            yield name, list(value) if isinstance(value, tuple) else value
