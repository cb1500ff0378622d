"""Harm done to checkpoints."""

from pathlib import Path


def empty_files(checkpoint: Path) -> None:
    """All files of the saved arrays are there, and empty."""
    for file in (checkpoint / "tree").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")
