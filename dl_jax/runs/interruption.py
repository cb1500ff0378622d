"""Being asked to stop: SIGTERM from a scheduler, Ctrl-C from a person."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

from dl_jax.signals import EXIT_CODES, end_at_once, end_by_signal

__all__ = ["EXIT_CODES", "Interrupted", "Interruption", "ending_at_once"]


class Interrupted(Exception):
    """A run that was asked to stop and has saved; the message says how to resume."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Interruption:
    """While entered, SIGTERM and Ctrl-C are noted in `received` instead of ending the process.

    The training loop looks there after each chunk of steps, saves, and raises `Interrupted`. Its
    exit codes are `EXIT_CODES`; Slurm requeues a job on 75 only with `RequeueExit=75`, or if the
    script calls `scontrol requeue`.

    A second Ctrl-C, a second or more after the first, ends the process at once. Outside of the main
    thread, where Python allows no handlers, nothing is changed.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._noted = 0.0

    def __enter__(self) -> "Interruption":
        self._previous = {}
        if threading.current_thread() is threading.main_thread():
            for number in EXIT_CODES:
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        if self.received is None:
            self.received, self._noted = signal.Signals(number), now
        elif number == signal.SIGINT and now - self._noted > 1:
            end_at_once("stopped at once, without saving; the last checkpoint is kept", number)


@contextlib.contextmanager
def ending_at_once() -> Iterator[None]:
    """While entered, SIGTERM and Ctrl-C end the process with one sentence and their exit code.

    This covers what comes before and after the loop, where there is nothing to save.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, end_by_signal) for number in EXIT_CODES}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
