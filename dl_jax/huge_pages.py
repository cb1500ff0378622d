"""Memory in pages of 2 MiB instead of 4 KiB, where the C library can be asked for them.

XLA takes fresh memory for the temporary arrays of every step on CPU. In small pages the kernel
spends a third of a small convolutional network's processor time on handing them out; large ones
take far fewer faults (docs/decisions/0003).
glibc reads this wish from the environment when a process starts, so
the process is started again, once, before anything slow is imported.
"""

import os
import platform
import sys

TUNABLES = "GLIBC_TUNABLES"
WISH = "glibc.malloc.hugetlb=1"


def restart_with_huge_pages(package: str) -> None:
    """Replace a process that runs `python -m package...` by itself with huge pages.

    Nothing happens where another program imported the package, where `$GLIBC_TUNABLES` is already
    set to anything, or without glibc.
    """
    arguments = sys.orig_argv
    module = arguments[arguments.index("-m") + 1] if "-m" in arguments[:-1] else ""
    if module.split(".")[0] != package or TUNABLES in os.environ:
        return
    if platform.libc_ver()[0] != "glibc":
        return
    os.environ[TUNABLES] = WISH
    os.execv(sys.executable, [sys.executable, *arguments[1:]])
