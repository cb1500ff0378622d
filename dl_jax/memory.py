"""Memory that is kept from step to step, in pages of 2 MiB.

XLA takes memory for the temporary arrays of every step on CPU and gives it back after the step. The
C library hands large pieces on to the kernel, which takes them apart into pages of 4 KiB, zeroes
these and hands them out one by one at the next step: a third of a small convolutional network's
processor time (docs/decisions/0003). glibc can be asked to keep what it has, and to have it in
large pages. It reads this wish from the environment when a process starts, so the process is
started again, once, before anything slow is imported.
"""

import contextlib
import os
import platform
import sys

from dl_jax.signals import blocked_signals

TUNABLES = "GLIBC_TUNABLES"
WISH = ":".join(
    f"glibc.malloc.{setting}"
    for setting in (
        "hugetlb=1",  # large pages
        "mmap_threshold=1073741824",  # pieces up to a GiB come from memory that is kept,
        "trim_threshold=1099511627776",  # which is not given back while the process lives,
        "arena_max=1",  # and which is one, for all threads
    )
)


def restart_with_fast_memory(prefix: str) -> None:
    """Replace a process that runs `python -m prefix...` by itself with these settings.

    Nothing happens where another module was started, where `$GLIBC_TUNABLES` is already set to
    anything, or without glibc. A signal that arrives in between is received by the new process.
    """
    arguments = sys.orig_argv
    module = arguments[arguments.index("-m") + 1] if "-m" in arguments[:-1] else ""
    if not module.startswith(prefix) or TUNABLES in os.environ or not sys.executable:
        return
    if platform.libc_ver()[0] != "glibc":
        return
    os.environ[TUNABLES] = WISH
    with blocked_signals(), contextlib.suppress(OSError):
        os.execv(sys.executable, [sys.executable, *arguments[1:]])
