"""Decoded examples on disk: built once, verified once a process, safe for concurrent builders."""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from dl_jax.data.cache_lock import locked
from dl_jax.errors import RunError, UsageError
from dl_jax.folders import cache_folder
from dl_jax.manifest import seal, sealed_facts, verify

Arrays = Mapping[str, NDArray]
Allocate = Callable[[str, tuple[int, ...], DTypeLike], NDArray]
"""`allocate(name, shape, dtype)` gives an array on disk to be filled."""
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

_verified: set[tuple] = set()  # files whose digests this process has checked


def cached(
    key: Mapping[str, Any], build: Callable[[Allocate], None], root: Path | None = None
) -> Arrays:
    """The arrays that `build` fills, from the cache if they are there and intact.

    A damaged folder, or one that holds something else than its key says, is built again with a
    warning. A folder is built under another name and renamed when complete. Of two processes that
    need the same folder, one builds and the other waits. What a killed builder left behind is
    removed by the next one.

    Args:
        key: everything that the arrays depend on, as JSON: `name`, which begins the folder's name,
            and what else changes them.
        build: asks for arrays, which are memory-mapped, and fills them: they need not fit in
            memory.
        root: folder of the cache; `cache_folder()` if None.

    Raises:
        RunError: the disk is full.
        UsageError: the cache folder cannot be read or written.
    """
    root = cache_folder() if root is None else root
    key = json.loads(json.dumps(key))
    folder = root / _folder_name(key)
    arrays = _read_or_discard(folder, key)
    if arrays is not None:
        return arrays
    with contextlib.ExitStack() as stack:
        with _explained(root):
            root.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(root)
            stack.enter_context(locked(root / f".{folder.name}.lock"))
        arrays = _read_or_discard(folder, key)  # another process may have built it meanwhile
        return _build(folder, key, build) if arrays is None else arrays


def _folder_name(key: Mapping[str, Any]) -> str:
    readable = re.sub(r"[^A-Za-z0-9_.-]+", "-", str(key["name"])).strip("-.")[-80:]
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return f"{readable or 'set'}-{digest[:16]}"


def _build(folder: Path, key: Mapping[str, Any], build: Callable[[Allocate], None]) -> Arrays:
    with _explained(folder.parent):
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.draft-", dir=folder.parent))
    try:
        arrays: dict[str, np.memmap] = {}

        def allocate(name: str, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray:
            needed = prod(shape) * np.dtype(dtype).itemsize
            with _explained(folder.parent, needed):
                arrays[name] = _reserved(draft / f"{name}.npy", shape, dtype, needed)
            return arrays[name]

        build(allocate)
        lengths = {name: len(array) for name, array in arrays.items()}
        with _explained(folder.parent):
            for array in arrays.values():
                array.flush()
            seal(draft, {"key": key, "arrays": lengths})
            try:
                draft.rename(folder)
            except OSError:  # without locks, another process may have been faster
                if not folder.is_dir():
                    raise
            _verified.add(_state(folder))  # its digests were computed this moment
            return _open(folder, key)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _reserved(path: Path, shape: tuple[int, ...], dtype: DTypeLike, needed: int) -> np.memmap:
    """A new array whose blocks are reserved: writing to it cannot meet a full disk.

    A memory map without blocks ends the process with a bus error there.

    Raises:
        OSError: there is not enough space.
    """
    if needed > shutil.disk_usage(path.parent).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    array = np.lib.format.open_memmap(path, "w+", np.dtype(dtype), shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                    raise
    return array


def _read_or_discard(folder: Path, key: Mapping[str, Any]) -> Arrays | None:
    """The arrays of an intact folder; None if there is none, and then its place is free."""
    if not os.path.lexists(folder):
        return None
    try:
        state = _state(folder)
        if state not in _verified:
            verify(folder)
            _verified.add(state)
        return _open(folder, key)
    except ValueError as error:
        warnings.warn(f"the cache {folder} is damaged ({error}); building it again", stacklevel=3)
        with _explained(folder.parent):
            _discard(folder)
        return None
    except OSError as error:
        raise UsageError(
            f"the cache {folder} cannot be read ({error.strerror}): make it readable, or choose "
            "another folder with $DL_JAX_CACHE"
        ) from error


def _state(folder: Path) -> tuple:
    """What changes when a file of the folder is changed or replaced."""
    if not folder.is_dir():
        raise ValueError("it is not a folder")
    try:
        stats = [(path.name, path.stat()) for path in sorted(folder.iterdir())]
    except FileNotFoundError as error:
        raise ValueError("a file is missing") from error
    return folder, *((name, s.st_ino, s.st_size, s.st_mtime_ns) for name, s in stats)


def _open(folder: Path, key: Mapping[str, Any]) -> Arrays:
    facts = sealed_facts(folder)
    if facts.get("key") != key:
        raise ValueError("it holds something else than its name says")
    lengths = facts.get("arrays")
    if not isinstance(lengths, dict) or not lengths:
        raise ValueError("its manifest names no arrays")
    arrays = {}
    for name, length in lengths.items():
        try:
            arrays[name] = np.load(folder / f"{name}.npy", mmap_mode="r")
        except (FileNotFoundError, EOFError) as error:
            raise ValueError(f"the file {name}.npy is missing or cut") from error
        if arrays[name].shape[:1] != (length,):
            raise ValueError(f"{name} does not have {length} examples")
    return arrays


def _discard(folder: Path) -> None:
    """Remove a damaged folder in one rename, so that no other process reads half of it."""
    grave = Path(tempfile.mkdtemp(prefix=f".{folder.name}.draft-", dir=folder.parent))
    with contextlib.suppress(FileNotFoundError):  # another process was faster
        folder.rename(grave / "damaged")
    shutil.rmtree(grave, ignore_errors=True)


def _remove_abandoned(root: Path) -> None:
    """Remove the drafts of builders that were killed: nobody holds their locks."""
    left = [*root.glob(".*.draft-*"), *root.glob(".*.lock")]
    for name in {path.name.split(".draft-")[0].removesuffix(".lock") for path in left}:
        with (
            contextlib.suppress(PermissionError),  # another user's
            locked(root / f"{name}.lock", wait=False) as alone,
        ):
            if alone:
                for draft in root.glob(f"{name}.draft-*"):
                    shutil.rmtree(draft, ignore_errors=True)


@contextlib.contextmanager
def _explained(root: Path, needed: int = 0) -> Iterator[None]:
    """Say in one sentence why the cache cannot be written."""
    try:
        yield
    except OSError as error:
        advice = "another folder with $DL_JAX_CACHE"
        if error.errno in FULL:
            size = f"{needed / 2**20:,.1f} MiB needed, " if needed else ""
            try:
                free = f"{shutil.disk_usage(root).free / 2**20:,.1f} MiB free"
            except OSError:
                free = "no space left"
            raise RunError(
                f"the cache of decoded data {root} is full ({size}{free}): free some space, or "
                f"choose {advice}"
            ) from error
        raise UsageError(
            f"the cache of decoded data {root} cannot be written ({error.strerror}): choose "
            f"{advice}"
        ) from error
