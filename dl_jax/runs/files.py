"""Files of a run: what may be there, and what is said where one cannot be written."""

import errno
import stat
from pathlib import Path
from typing import Any

from dl_jax.errors import RunError, UsageError


def cannot_write(path: Path, error: OSError, command: str) -> RunError:
    """The sentence about a file of a run that cannot be written."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return RunError(
        f"{path} cannot be written ({error.strerror or error}): "
        f"{'free some space' if full else 'see to that'}, then resume with: {command}"
    )


def check_kind(path: Path, is_right: Any) -> None:
    """Raise unless `path` is of the right kind (`stat.S_ISREG`, `stat.S_ISDIR`), or not there.

    Raises:
        UsageError: there is a link, a pipe or something else, which a run would write through or
            wait for.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"{path} cannot be accessed ({error.strerror})") from error
    if not is_right(mode):
        wanted = "folder" if is_right is stat.S_ISDIR else "file"
        raise UsageError(f"{path} is a link or of another kind, expected a {wanted}: remove it")


def is_draft(path: Path) -> bool:
    """Whether a file was being written when its process died."""
    return path.name.startswith(".") and path.name.endswith(".draft")
