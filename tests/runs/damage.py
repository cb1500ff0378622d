"""Harm done to checkpoints."""

from pathlib import Path


def empty_files(checkpoint: Path) -> None:
    """All files of the saved arrays are there, and empty."""
    for file in (checkpoint / "tree").rglob("*"):
        if file.is_file():
            file.write_bytes(b"")


def flip_byte(checkpoint: Path) -> None:
    """One byte of the largest file of the saved arrays is another."""
    file = max((path for path in (checkpoint / "tree").rglob("*") if path.is_file()),
               key=lambda path: path.stat().st_size)  # fmt: skip
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
