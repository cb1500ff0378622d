"""One process at a time in a run's directory."""

import fcntl
import os
import stat
from pathlib import Path

from dl_jax.errors import UsageError

LOCK_FILE = ".lock"


def lock(directory: Path) -> None:
    """Take a directory for this process, until it ends.

    The lock goes with the process, however it ends; nothing has to be cleaned up after a crash.

    Raises:
        UsageError: another process has it, or its file is a link, a pipe or cannot be opened.
    """
    path = directory / LOCK_FILE
    try:
        # Never closed: closing any descriptor of the file would give the lock away.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be opened ({error.strerror}): remove it, or choose another --name"
        ) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UsageError(f"{path} is not a file: remove it, or choose another --name")
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:  # POSIX allows either
        os.close(descriptor)
        raise UsageError(
            f"another process is running in {directory}: wait for it, or choose another --name"
        ) from error
    except OSError:
        pass  # a file system without locks: continue without
