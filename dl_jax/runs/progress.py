"""What a run tells the person who watches it."""

import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

import numpy as np
from rich.console import Console, ConsoleOptions
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dl_jax.types import NOT_METRICS

PLAIN_SECONDS = 10.0
MIN_BAR, MAX_BAR = 10, 40
"""Width of the bar, which has the room that the numbers leave."""


class ProgressReport:
    """A line with step, time left, metrics and speed, and a bar; plain lines off a terminal."""

    def __init__(
        self,
        total_steps: int,
        start_step: int,
        examples_per_step: int,
        console: Console | None = None,
        *,
        quiet: bool = False,
    ) -> None:
        self._console = console or Console(quiet=quiet)
        self._total, self._start, self._examples = total_steps, start_step, examples_per_step
        self._step, self._parts = start_step, ["compiling"]
        self._began = self._last_line = time.monotonic()
        self._live = (
            Live(self, console=self._console, refresh_per_second=4)
            if self._console.is_terminal
            else None
        )

    def __enter__(self) -> "ProgressReport":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        """The line, as wide as the terminal; parts that do not fit are left out from the end."""
        text = f"step {self._step}/{self._total}"
        for part in self._parts:
            if len(text) + 2 + len(part) > options.max_width:
                break
            text += f"  {part}"
        line = Table.grid(padding=(0, 2))
        cells: list[Any] = [Text(text, no_wrap=True)]
        bar = min(options.max_width - len(text) - 2, MAX_BAR)
        if bar >= MIN_BAR:
            cells.append(ProgressBar(total=self._total, completed=self._step, width=bar))
        line.add_row(*cells)
        yield line

    def trained(self, step: int, row: Mapping[str, Any]) -> None:
        """Show the metrics of the steps up to `step`."""
        left, speed = self._pace(step)
        metrics = _metrics(row)
        self._step, self._parts = step, [part for part in (left, *metrics, speed) if part]
        now = time.monotonic()
        if self._live is None and now - self._last_line >= PLAIN_SECONDS:
            self._last_line = now
            parts = "  ".join(part for part in (*metrics, speed, left) if part)
            self.say(f"step {step}/{self._total}  train {parts}")

    def evaluated(self, step: int, row: Mapping[str, Any]) -> None:
        """Show the metrics of an evaluation."""
        self.say(
            f"step {step}/{self._total}  epoch {row['epoch']:.4g}  {row['split']} "
            + "  ".join(_metrics(row))
        )

    def say(self, line: str) -> None:
        """Print one line, above the bar if there is one."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _pace(self, step: int) -> tuple[str, str]:
        """Time left and examples a second, since this process began."""
        seconds = time.monotonic() - self._began
        steps = step - self._start
        if steps <= 0 or seconds <= 0:
            return "", ""
        left = (self._total - step) * seconds / steps
        return f"{_duration(left)} left", f"{steps * self._examples / seconds:,.0f} examples/s"


def _metrics(row: Mapping[str, Any]) -> list[str]:
    """`loss 0.1234`, with the standard deviation over replicas where there are several."""
    parts = []
    for name, value in row.items():
        if name in NOT_METRICS:
            continue
        values = np.asarray([np.nan if v is None else v for v in np.ravel(value)], float)
        spread = f" ± {values.std(ddof=1):.4f}" if values.size > 1 else ""
        parts.append(f"{name} {values.mean():.4f}{spread}")
    return parts


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
