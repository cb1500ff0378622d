"""Harm done to checkpoints."""

from collections.abc import Callable
from pathlib import Path

import pytest


def reads_damage(test: Callable) -> Callable:
    """Marks a test that has orbax read damaged files.

    Orbax leaves coroutines behind then, of which Python complains whenever it collects them.
    """
    ignore = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    return pytest.mark.usefixtures("leftovers_collected")(ignore(test))


def empty_files(checkpoint: Path) -> None:
    """All files of the saved arrays are there, and empty."""
    for file in (checkpoint / "tree").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
