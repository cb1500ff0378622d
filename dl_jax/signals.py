"""SIGTERM and Ctrl-C from the first moment of a process to its last: a sentence and an exit code.

Only the standard library is imported here, so that the handlers stand before anything slow is
imported. They never raise: an exception that arrives within a library's callback is lost there.
"""

import atexit
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType

EXIT_CODES = {signal.SIGTERM: 75, signal.SIGINT: 130}
"""130 is a shell's code for Ctrl-C; 75 is `EX_TEMPFAIL`, try again later.

Slurm requeues a job on 75 only with `RequeueExit=75`, or if the script calls `scontrol requeue`.
"""


def end_on_signals() -> None:
    """From now on, SIGTERM and Ctrl-C end this process with a sentence and their exit code.

    Signals that `blocked_signals` held back across an `exec` are received now. At the very end,
    when Python takes its handlers away, both are ignored: everything is done then.
    """
    for number in EXIT_CODES:
        signal.signal(number, end_by_signal)
    atexit.register(_ignore)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, EXIT_CODES)


@contextlib.contextmanager
def blocked_signals() -> Iterator[None]:
    """While entered, SIGTERM and Ctrl-C wait; a program that is started by `exec` inherits that."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, EXIT_CODES)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_by_signal(number: int, _: FrameType | None) -> None:
    """Handler that ends the process outside of the training loop, where nothing is to be saved."""
    name = signal.Signals(number).name
    end_at_once(
        f"stopped by {name} outside of the training loop; what was saved is kept: start the same "
        "command again, with --resume if the run has a directory",
        number,
    )


def end_at_once(message: str, number: int) -> None:
    """Print a sentence and end the process with the exit code of a signal, without cleaning up."""
    try:
        sys.stdout.flush()
        sys.stderr.write(message + "\n")
        sys.stderr.flush()
    except Exception:  # interrupted in the middle of another write, or nobody reads
        with contextlib.suppress(OSError):
            os.write(2, message.encode() + b"\n")
    finally:
        os._exit(EXIT_CODES[signal.Signals(number)])


def _ignore() -> None:
    for number in EXIT_CODES:
        signal.signal(number, signal.SIG_IGN)
