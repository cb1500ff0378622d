"""Being asked to stop: SIGTERM from a scheduler, Ctrl-C from a person."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

EXIT_CODES = {signal.SIGTERM: 75, signal.SIGINT: 130}
"""75 is `EX_TEMPFAIL`: try again later, which is what a scheduler should do."""


class Interrupted(Exception):
    """A run that was asked to stop and has saved; the message says how to go on."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Interruption:
    """While entered, SIGTERM and Ctrl-C are noted in `received` instead of ending the process.

    A second Ctrl-C, a second or more after the first, ends it at once. Outside of the main thread,
    where Python allows no handlers, nothing is changed.
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
            _end_at_once("stopped at once, without saving; the last checkpoint is kept", number)


@contextlib.contextmanager
def ending_at_once() -> Iterator[None]:
    """While entered, SIGTERM and Ctrl-C end the process with one sentence and their exit code.

    It covers what comes before and after the loop: there is nothing to save then, but a scheduler
    should still be told to try again. No exception is raised, for one that arrives in the middle of
    a library's callback is lost there.
    """

    def end(number: int, _frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        _end_at_once(
            f"stopped by {name} outside of the training loop; what was saved is kept: start the "
            "same command again, with --resume if the run has a directory",
            number,
        )

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, end) for number in EXIT_CODES}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _end_at_once(message: str, number: int) -> None:
    sys.stdout.flush()
    print(message, file=sys.stderr, flush=True)
    os._exit(EXIT_CODES[signal.Signals(number)])
