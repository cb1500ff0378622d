"""Memory in pages of 2 MiB instead of 4 KiB, where the C library can be asked for them.

XLA takes fresh memory for the temporary arrays of every step on CPU. In small pages the kernel
spends a third of a small convolutional network's processor time on handing them out; large ones
take far fewer faults (docs/decisions/0003). glibc reads this wish from the environment when a
process starts, so the process is started again, once, before anything slow is imported.
"""

import contextlib
import os
import platform
import sys

from dl_jax.signals import blocked_signals

TUNABLES = "GLIBC_TUNABLES"
WISH = "glibc.malloc.hugetlb=1"


def restart_with_huge_pages(prefix: str) -> None:
    """Replace a process that runs `python -m prefix...` by itself with huge pages.

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
