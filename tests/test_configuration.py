"""Whether two configurations give the same result."""

from dataclasses import dataclass, replace

import pytest

from dl_jax.configuration import (
    changes,
    determining,
    differences,
    length_only,
    place_only,
    plain,
    speed_only,
    stopping_only,
)
from dl_jax.optim import OptimizerConfig


@dataclass(frozen=True)
class Fit:
    seed: int = 0
    epochs: float = length_only(10)
    """Passes."""
    loop: str = speed_only("auto")
    patience: int = stopping_only(0)


@dataclass(frozen=True)
class Config:
    sizes: tuple[int, ...] = (8, 8)
    fit: Fit = Fit(epochs=40)
    optimizer: OptimizerConfig = OptimizerConfig(schedule="constant")
    run: str = "somewhere"


def changed(**values) -> Config:
    return replace(Config(), fit=replace(Config().fit, **values))


@pytest.mark.parametrize(
    ("config", "said", "allowed"),
    [
        (Config(), [], []),
        (replace(Config(), run="elsewhere"), [], []),
        (replace(Config(), sizes=(8,)), ["sizes (was [8, 8], now [8])"], [False]),
        (changed(epochs=40.0), [], []),
        (changed(seed=1), ["fit.seed (was 0, now 1)"], [False]),
        (changed(loop="python", patience=2), [
            "fit.loop (was 'auto', now 'python')", "fit.patience (was 0, now 2)"], [True, True]),
        (changed(epochs=50), ["fit.epochs (was 40, now 50)"], [True]),
    ],
)  # fmt: skip
def test_changes_name_the_field_and_say_whether_the_result_stays(config, said, allowed):
    found = changes(plain(Config()), config)
    assert [str(change) for change in found] == said
    assert [change.allowed for change in found] == allowed
    same = determining(config) == determining(Config())
    assert same == all(allowed)


@pytest.mark.parametrize(
    ("optimizer", "free"),
    [
        (OptimizerConfig(schedule="constant"), True),
        (OptimizerConfig(schedule="constant", warmup=0.1), False),
        (OptimizerConfig(schedule="cosine"), False),
        (None, False),  # nothing says that no schedule depends on it
    ],
)
def test_the_length_may_change_where_no_schedule_depends_on_it(optimizer, free: bool):
    before = replace(Config(), optimizer=optimizer)
    (change,) = changes(plain(before), replace(before, fit=Fit(epochs=50)))
    assert change.name == "fit.epochs"
    assert change.allowed == free
    assert ("epochs" in determining(before)["fit"]) == (not free)


def test_a_field_that_a_record_lacks_had_its_default():
    record = plain(Config())
    del record["fit"]["epochs"], record["sizes"], record["optimizer"]
    assert changes(record, Config()) == []  # 40 epochs are the default of the whole
    assert [c.name for c in changes(record, replace(Config(), sizes=(1,)))] == ["sizes"]


def test_a_field_that_is_no_more_is_a_difference():
    record = {**plain(Config()), "warp": 1, "\x1b[2J": 2}
    said = [str(change) for change in changes(record, Config())]
    assert said == [r"'\x1b[2J' (was 2, now absent)", "warp (was 1, now absent)"]
    assert not any(change.allowed for change in changes(record, Config()))


@pytest.mark.parametrize("record", [{"fit": None}, {"fit": [1]}, {"fit": {"seed": [[1]]}}])
def test_records_of_other_types_are_differences(record: dict):
    assert changes(record, Config())


def test_differences_of_mappings():
    old, new = {"a": {"b": 1}, "nan": float("nan")}, {"a": {"b": 2}, "c": 3, "nan": float("nan")}
    said = [str(change) for change in differences(old, new)]
    assert said == ["a.b (was 1, now 2)", "c (was absent, now 3)"]


@dataclass(frozen=True)
class Placed:
    dataset: str = "digits"
    data_dir: str | None = place_only(None)


def test_a_place_is_not_recorded_and_may_change():
    assert plain(Placed(data_dir="/here")) == determining(Placed()) == {"dataset": "digits"}
    assert changes(plain(Placed(data_dir="/here")), Placed(data_dir="/there")) == []
