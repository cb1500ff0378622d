"""What a run tells the person who watches it."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

PLAIN_SECONDS = 10.0


class ProgressReport:
    """A bar with loss, accuracy, examples a second and time left; plain lines off a terminal."""

    def __init__(self, total_steps: int, start_step: int, examples_per_step: int) -> None:
        self._console = Console()
        self._total, self._start, self._examples = total_steps, start_step, examples_per_step
        self._began = self._last_line = time.monotonic()
        self._bar: Progress | None = None
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.description}"),
                console=self._console,
            )
            self._task = self._bar.add_task("compiling", total=total_steps, completed=start_step)

    def __enter__(self) -> "ProgressReport":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def trained(self, step: int, row: Mapping[str, Any]) -> None:
        """Show the metrics of the steps up to `step`."""
        text = f"{_metrics_text(row)}  {self._pace(step)}"
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, completed=step, description=text)
        elif now - self._last_line >= PLAIN_SECONDS:
            self._last_line = now
            self.say(f"step {step}/{self._total}  train {text}")

    def evaluated(self, step: int, row: Mapping[str, Any]) -> None:
        """Show the metrics of an evaluation."""
        self.say(
            f"step {step}/{self._total}  epoch {row['epoch']:.4g}  {row['split']} "
            f"{_metrics_text(row)}"
        )

    def say(self, line: str) -> None:
        """Print one line, above the bar if there is one."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _pace(self, step: int) -> str:
        seconds = time.monotonic() - self._began
        steps = step - self._start
        if steps <= 0 or seconds <= 0:
            return ""
        left = (self._total - step) * seconds / steps
        return f"{steps * self._examples / seconds:,.0f} examples/s  {_duration(left)} left"


def _metrics_text(row: Mapping[str, Any]) -> str:
    parts = []
    for name, value in row.items():
        if name in ("step", "epoch", "split", "seconds"):
            continue
        values = np.asarray([np.nan if v is None else v for v in np.ravel(value)], float)
        spread = f" ± {values.std(ddof=1):.4f}" if values.size > 1 else ""
        parts.append(f"{name} {values.mean():.4f}{spread}")
    return "  ".join(parts)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
