"""Folders that can be verified: a manifest with the digest of every file, and what the folder is.

Data caches and checkpoints are such folders. A flipped byte, a lost file, a folder that took the
place of another: the manifest tells, before anything of it is used.
"""

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"


def seal(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the manifest of a folder that is complete: `facts`, and the digest of each file.

    Args:
        folder: whose files are read; those in folders within it count as well.
        facts: what `verify` gives back, such as the key of a cache or the step of a checkpoint.
    """
    files = {name: file_digest(folder / name) for name in _files(folder)}
    content = {"facts": dict(facts), "files": files}
    write_atomically(folder / MANIFEST, json.dumps({**content, "sha256": _own(content)}, indent=2))


def verify(folder: Path) -> dict[str, Any]:
    """The facts of a sealed folder, all of whose files are as they were when it was sealed.

    Raises:
        ValueError: says what is wrong: there is no manifest, or a file is missing or changed.
        OSError: a file is there and cannot be read now.
    """
    facts, files = _read(folder)
    for name, digest in files.items():
        try:
            found = file_digest(_regular(folder / name))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ValueError(f"the file {name} is missing") from error
        if found != digest:
            raise ValueError(f"the file {name} does not have its checksum")
    return facts


def sealed_facts(folder: Path) -> dict[str, Any]:
    """The facts of a sealed folder; its files are not looked at.

    Raises:
        ValueError: there is no manifest, or it is damaged.
        OSError: it is there and cannot be read now.
    """
    return _read(folder)[0]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_digest(text: str) -> str:
    """SHA-256 of a file that holds this text, in UTF-8."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a crash leaves the old one or the new one, never a part."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    try:
        record = json.loads(_regular(folder / MANIFEST).read_text(encoding="utf-8"))
        content = {"facts": dict(record["facts"]), "files": dict(record["files"])}
        intact = record["sha256"] == _own(content)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ValueError("its manifest is missing") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError("its manifest is damaged") from error
    if not intact:
        raise ValueError("its manifest does not have its own checksum")
    return content["facts"], content["files"]


def _regular(path: Path) -> Path:
    """`path`, if it is a file; reading a pipe would never end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError(f"{path.name} is not a file")
    return path


def _files(folder: Path) -> list[str]:
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return [name for path in found if (name := path.relative_to(folder).as_posix()) != MANIFEST]


def _own(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
