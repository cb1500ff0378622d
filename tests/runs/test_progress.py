"""The progress line fits its terminal."""

import io

import pytest
from rich.console import Console

from dl_jax.runs.progress import ProgressReport

ONE = {"step": 3900, "epoch": 8.3, "split": "train", "seconds": 61.0,
       "loss": 0.1234, "accuracy": 0.98765}  # fmt: skip
SEVERAL = {**ONE, "loss": [0.1234, 0.2], "accuracy": [0.98765, 0.9]}
MANY = {**SEVERAL, **{f"metric_{i}": [0.5, 0.25] for i in range(9)}}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr("dl_jax.runs.progress.time.monotonic", lambda: now[0])
    return now


def line(clock: list[float], row: dict, width: int) -> str:
    """The last line on a terminal of `width` columns, after 39 of 140 seconds."""
    output = io.StringIO()
    console = Console(file=output, width=width, height=25, force_terminal=True, color_system=None)
    report = ProgressReport(14_000, 0, 128 * 5, console)
    clock[0] += 39
    report.trained(3900, row)
    console.print(report)
    (shown,) = output.getvalue().splitlines()
    assert len(shown) <= width
    return shown


@pytest.mark.parametrize("row", [ONE, SEVERAL, MANY], ids=["one", "several", "many"])
def test_80_columns_show_the_total_and_the_time_left(clock: list[float], row: dict):
    shown = line(clock, row, 80)
    assert shown.startswith("step 3900/14000  1:41 left  loss 0.1")
    assert "accuracy 0.9" in shown
    assert "…" not in shown


def test_a_wide_terminal_shows_all(clock: list[float]):
    shown = line(clock, ONE, 120)
    numbers = "step 3900/14000  1:41 left  loss 0.1234  accuracy 0.9877  64,000 examples/s  "
    assert shown.startswith(numbers)
    assert "━" in shown.removeprefix(numbers)


def test_a_narrow_terminal_keeps_the_step(clock: list[float]):
    assert line(clock, ONE, 20).rstrip() == "step 3900/14000"


def test_plain_lines_off_a_terminal(clock: list[float]):
    output = io.StringIO()
    with ProgressReport(14_000, 0, 640, Console(file=output, width=80)) as report:
        report.trained(10, ONE)  # too early for a line
        clock[0] += 39
        report.trained(3900, ONE)
        report.evaluated(3900, {**ONE, "split": "validation"})
    assert output.getvalue().splitlines() == [
        "step 3900/14000  train loss 0.1234  accuracy 0.9877  64,000 examples/s  1:41 left",
        "step 3900/14000  epoch 8.3  validation loss 0.1234  accuracy 0.9877",
    ]


def test_the_line_stays_below_what_is_said(clock: list[float]):
    output = io.StringIO()
    console = Console(file=output, width=80, force_terminal=True, color_system=None)
    with ProgressReport(14_000, 0, 640, console) as report:
        report.say("a warning")
        clock[0] += 39
        report.trained(3900, ONE)
    shown = output.getvalue()
    assert shown.index("a warning") < shown.rindex("step 3900/14000")
