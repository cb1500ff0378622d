"""Being asked to stop: SIGTERM from a scheduler, Ctrl-C from a person."""

import contextlib
import signal
import threading
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

    A second Ctrl-C ends it at once. Outside of the main thread, where Python allows no handlers,
    nothing is changed.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

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
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)


@contextlib.contextmanager
def sigterm_raises() -> Iterator[None]:
    """While entered, SIGTERM raises `Interrupted`, as Ctrl-C raises `KeyboardInterrupt`.

    It covers what comes before and after the loop: there is nothing to save then, but a scheduler
    should still be told to try again.
    """

    def end(_number: int, _frame: FrameType | None) -> None:
        raise Interrupted(
            "stopped by SIGTERM outside of the training loop; what was saved before is kept: start "
            "the same command again, with --resume if the run has a directory",
            EXIT_CODES[signal.SIGTERM],
        )

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
