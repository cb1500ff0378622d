"""Decoded examples on disk: written once, verified when read, safe to build from two processes."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

Arrays = Mapping[str, NDArray]
Allocate = Callable[[str, tuple[int, ...], DTypeLike], NDArray]
"""`allocate(name, shape, dtype)` gives an array on disk to be filled."""
MANIFEST = "manifest.json"


def cache_root() -> Path:
    """`$DL_JAX_CACHE`, or `dl_jax` in the user's cache folder."""
    chosen = os.environ.get("DL_JAX_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "dl_jax"


def cached(key: str, build: Callable[[Allocate], None], root: Path | None = None) -> Arrays:
    """The arrays that `build` fills, from the cache where they are there and whole.

    A folder that fails its checksums is built again, with a warning. Building happens in a folder
    of its own that is renamed into place: of two processes that build at once, the second finds
    the first one's result and uses it.

    Args:
        key: name of the folder; it must change whenever what `build` gives would.
        build: asks for arrays, which lie on disk from the start, and fills them: what is built
            need not fit in memory.
        root: folder of the cache; `cache_root()` where None.
    """
    folder = (cache_root() if root is None else root) / key
    if folder.exists():
        try:
            return _read(folder)
        except (OSError, ValueError, KeyError) as error:
            warnings.warn(
                f"the cache {folder} is damaged ({error}); building it again", stacklevel=2
            )
            _discard(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{key}-", dir=folder.parent))
    try:
        _write(draft, build)
        try:
            draft.rename(folder)
        except OSError:  # another process was faster
            if not folder.exists():
                raise
        return _read(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _discard(folder: Path) -> None:
    """Remove a damaged folder in one rename, so that no other process reads half of it."""
    grave = Path(tempfile.mkdtemp(prefix=f".{folder.name}-damaged-", dir=folder.parent))
    with contextlib.suppress(FileNotFoundError):  # another process was faster
        folder.rename(grave / folder.name)
    shutil.rmtree(grave, ignore_errors=True)


def _write(folder: Path, build: Callable[[Allocate], None]) -> None:
    arrays: dict[str, np.memmap] = {}

    def allocate(name: str, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray:
        path = folder / f"{name}.npy"
        arrays[name] = np.lib.format.open_memmap(path, "w+", np.dtype(dtype), shape)
        return arrays[name]

    build(allocate)
    for array in arrays.values():
        array.flush()
    manifest = {name: _digest(folder / f"{name}.npy") for name in arrays}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2))


def _read(folder: Path) -> Arrays:
    manifest = json.loads((folder / MANIFEST).read_text())
    for name, digest in manifest.items():
        if _digest(folder / f"{name}.npy") != digest:
            raise ValueError(f"checksum of {name}.npy does not match")
    return {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in manifest}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
