"""Options of nested configurations: short for those that every script has, with a prefix else."""

from dataclasses import dataclass

import pytest

from dl_jax.errors import UsageError
from dl_jax.optim import OptimizerConfig
from dl_jax.runs import RunOptions
from dl_jax.runs.launch import parse
from dl_jax.training import FitConfig


@dataclass(frozen=True)
class Config:
    """A game of two."""

    width: int = 8
    """Units."""
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=1e-3)
    critic: OptimizerConfig = OptimizerConfig(learning_rate=5e-3)
    """The critic's."""
    fit: FitConfig = FitConfig(epochs=3)
    run: RunOptions = RunOptions()


@dataclass(frozen=True)
class Clashing:
    """A field of its own that `fit` has too."""

    seed: int = 0
    fit: FitConfig = FitConfig()
    run: RunOptions = RunOptions()


def test_defaults_are_those_of_the_script():
    assert parse(Config, []) == Config()
    assert type(parse(Config, [])) is Config


def test_two_configurations_of_a_kind_do_not_clash():
    options = "--learning-rate 1 --critic.learning-rate 2 --critic.schedule linear --epochs 7"
    config = parse(Config, options.split())
    assert (config.optimizer.learning_rate, config.critic.learning_rate) == (1.0, 2.0)
    assert (config.optimizer.schedule, config.critic.schedule) == ("cosine", "linear")
    assert config.fit.epochs == 7


@pytest.mark.parametrize("option", ["--fit.epochs", "--optimizer.learning-rate", "--run.name"])
def test_what_every_script_has_keeps_its_short_name(option, capsys):
    with pytest.raises(SystemExit):
        parse(Config, [option, "3"])
    assert "Unrecognized" in capsys.readouterr().err


def test_help_has_the_words_of_the_fields(capsys):
    with pytest.raises(SystemExit) as end:
        parse(Config, ["--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    for words in ("A game of two.", "Units.", "--critic.learning-rate", "--epochs", "--width"):
        assert words in said


def test_a_field_with_the_option_of_another_is_refused():
    with pytest.raises(UsageError, match="Clashing has two fields for the option --seed"):
        parse(Clashing, [])
