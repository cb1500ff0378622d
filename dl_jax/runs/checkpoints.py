"""Checkpoints that are whole or not used: saved by orbax, then sealed with a manifest."""

import contextlib
import logging
import re
import shutil
import stat
import threading
from collections.abc import Callable, Mapping
from dataclasses import MISSING
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from dl_jax.configuration import differences
from dl_jax.errors import RunError
from dl_jax.manifest import seal, verify
from dl_jax.paths import layout, unlike
from dl_jax.processes import from_first, is_first, wait_for_all
from dl_jax.types import Tree

# Orbax logs every file it touches, and failures with their tracebacks: they are reported here.
for name in ("absl", "asyncio"):
    logging.getLogger(name).setLevel(logging.CRITICAL + 1)

BYTES_PER_LEAF, BYTES_PER_CHECKPOINT = 2 << 10, 128 << 10
"""What files hold beside the arrays, generously."""
LEFTOVER = re.compile(r"\.\d+\.(draft|old)")


class Restored(NamedTuple):
    """What a checkpoint held, the step that it was saved at, and what was wrong with newer ones."""

    step: int
    tree: Tree
    damaged: list[str]


class Checkpoints:
    """The checkpoints in one directory: one folder per step, `160/`, with a manifest.

    A checkpoint is written as `.160.draft/`, in the background: orbax's arrays in `tree/`, then
    the manifest with the digest of every file, the step, the configuration and the layout of the
    tree. It gets its name when it is complete, so a process killed at any instruction leaves none
    that is half written. One that cannot be saved (a full disk) is reported, and the ones before it
    stay; one that is found damaged is moved aside, and the one before it is restored.
    """

    def __init__(
        self, directory: Path, keep: int = 2, config: Mapping[str, Any] | None = None
    ) -> None:
        """Describe the checkpoints in `directory`; nothing is read or written yet.

        Args:
            directory: made at the first save.
            keep: how many to keep, the newest.
            config: values that determine the result; a checkpoint with others is refused.
        """
        self.directory = directory.absolute()
        self.keep = keep
        self.config = dict(config or {})
        self._pending: int | None = None
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    @property
    def latest(self) -> int | None:
        """Step of the newest complete checkpoint."""
        return max(self._steps(), default=None)

    def save(self, step: int, tree: Tree) -> str | None:
        """Begin to save `tree`; returns why the save before this one failed, if it did.

        When this returns, the arrays may be donated. A step that is saved already stays as it is.
        """
        failure = self.finish()
        if step in self._steps():
            return failure
        facts = {"step": step, "config": self.config, "layout": layout(tree)}
        draft = self.directory / f".{step}.draft"
        problem = from_first(lambda: self._prepare(draft, tree))
        if problem:
            return self._give_up(step, problem)
        try:
            checkpointer = ocp.StandardCheckpointer()
            checkpointer.save(draft / "tree", tree)
        except Exception as error:
            return self._give_up(step, _first_line(error))
        self._pending = step
        self._thread = threading.Thread(
            target=self._complete, args=(checkpointer, draft, step, facts), name="checkpoint"
        )
        self._thread.start()
        return failure

    def finish(self) -> str | None:
        """Wait for a save under way; returns why it failed, if it did."""
        if self._thread is None or self._pending is None:
            return None
        self._thread.join()
        step, error = self._pending, self._error
        self._pending = self._thread = self._error = None
        problem = from_first(lambda: None if error is None else _first_line(error))
        return self._give_up(step, problem) if problem else None

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def restore(self, like: Tree) -> Restored | None:
        """The newest whole checkpoint, in the shapes, types and placement of `like`.

        Returns None where there is none. A damaged one is moved to `damaged-<step>`.

        Raises:
            RunError: a checkpoint holds other shapes or types than `like`, or was written by
                another configuration; or it cannot be read at the moment; or all are damaged. In
                all these cases they are left where they are.
        """
        self.finish()
        damaged: dict[int, str] = {}
        restored = None
        for step in sorted(self._steps(), reverse=True):
            try:
                self._check(step, like)
                restored = step, self._read(step, like)
                break
            except RunError:
                raise
            except ValueError as error:
                damaged[step] = str(error)
            except Exception as error:
                raise RunError(
                    f"the checkpoint of step {step} in {self.directory} cannot be read now "
                    f"({_first_line(error)}): nothing was changed; see to that, and resume again"
                ) from error
        if restored is None and damaged:
            raise RunError(
                f"every checkpoint in {self.directory} is damaged ({_listed(damaged)}): nothing "
                "was restored; start a new run under another --name"
            )
        if is_first():
            for step in damaged:
                self._set_aside(step)
        wait_for_all("damaged checkpoints are set aside")
        if restored is None:
            return None
        said = [f"checkpoint of step {s} is damaged ({reason})" for s, reason in damaged.items()]
        return Restored(*restored, said)

    def read(self, choose: Callable[[Tree], Tree]) -> Restored | None:
        """A part of the newest whole checkpoint, in NumPy arrays; None where there is none.

        Nothing is moved, and it does not matter on which devices it was written.

        Args:
            choose: takes nested dicts as a checkpoint holds them, and gives a part of them.

        Raises:
            RunError: all are damaged, or one cannot be read.
        """
        damaged: dict[int, str] = {}
        for step in sorted(self._steps(), reverse=True):
            folder = self.directory / str(step)
            try:
                self._facts(step)
                with contextlib.closing(
                    ocp.Checkpointer(ocp.PyTreeCheckpointHandler())
                ) as checkpointer:
                    stored = checkpointer.metadata(folder / "tree").item_metadata
                    chosen = choose(getattr(stored, "tree", {}))
                    kinds = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), chosen)
                    wanted = ocp.args.PyTreeRestore(
                        chosen, restore_args=kinds, partial_restore=True
                    )
                    tree = checkpointer.restore(folder / "tree", args=wanted)
                said = [f"checkpoint of step {s} is damaged ({r})" for s, r in damaged.items()]
                return Restored(step, tree, said)
            except ValueError as error:
                damaged[step] = str(error)
            except OSError as error:
                raise RunError(
                    f"the checkpoint of step {step} in {self.directory} cannot be read now "
                    f"({_first_line(error)})"
                ) from error
        if damaged:
            raise RunError(f"every checkpoint in {self.directory} is damaged ({_listed(damaged)})")
        return None

    def _check(self, step: int, like: Tree) -> None:
        """Raise unless the checkpoint is whole (ValueError) and of this configuration."""
        facts = self._facts(step)
        # What it does not have is a new field, which had its default: config.json was compared.
        found = differences(facts["config"], self.config)
        changed = [str(change) for change in found if change.old is not MISSING]
        if changed:
            raise RunError(
                f"the checkpoint of step {step} was written by another configuration: "
                f"{', '.join(changed)}"
            )
        # Orbax would cast a differing type in silence.
        for difference in unlike(facts["layout"], layout(like)):
            raise RunError(
                f"the checkpoint of step {step} does not fit this configuration: {difference}"
            )

    def _facts(self, step: int) -> dict[str, Any]:
        """What the manifest of a checkpoint says; ValueError unless it is whole and of its step."""
        folder = self.directory / str(step)
        if not stat.S_ISDIR(folder.lstat().st_mode):
            raise ValueError("it is a link or a file, not a folder")
        facts = verify(folder)
        if facts.get("step") != step:
            raise ValueError(f"it is the checkpoint of step {facts.get('step')}")
        return facts

    def _read(self, step: int, like: Tree) -> Tree:
        try:
            with contextlib.closing(ocp.StandardCheckpointer()) as checkpointer:
                return checkpointer.restore(
                    self.directory / str(step) / "tree", jax.tree.map(_abstract, like)
                )
        except ValueError as error:  # not damage: the files have their digests
            raise OSError(_first_line(error)) from error

    def _steps(self) -> list[int]:
        """The steps that something is named after, whatever it is."""
        try:
            names = [path.name for path in self.directory.iterdir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RunError(
                f"{self.directory} cannot be read now ({error.strerror}): nothing was changed; see "
                "to that, and resume again"
            ) from error
        return [int(name) for name in names if re.fullmatch("0|[1-9][0-9]*", name)]

    def _complete(
        self, checkpointer: ocp.StandardCheckpointer, draft: Path, step: int, facts: dict[str, Any]
    ) -> None:
        """What is left to do of a save, in the background."""
        try:
            with contextlib.closing(checkpointer):
                checkpointer.wait_until_finished()
            if not is_first():
                return
            seal(draft, facts)
            draft.rename(self.directory / str(step))
        except Exception as error:
            self._error = error
            return
        with contextlib.suppress(OSError):  # one more than wanted does no harm
            for old in sorted(self._steps())[: -self.keep]:
                # Renamed first: a process killed here must not leave a part of a checkpoint.
                aside = self.directory / f".{old}.old"
                (self.directory / str(old)).rename(aside)
                _remove(aside)

    def _prepare(self, draft: Path, tree: Tree) -> str | None:
        """Make the folder of a draft; returns why that cannot be done, if it cannot."""
        try:
            self._remove_leftovers()
            draft.mkdir(parents=True)
            _check_space(draft, tree)
        except OSError as error:
            return _first_line(error)
        return None

    def _set_aside(self, step: int) -> None:
        target = self.directory / f"damaged-{step}"
        _remove(target)
        (self.directory / str(step)).rename(target)

    def _remove_leftovers(self) -> None:
        """Remove what earlier saves left: of a killed process, or of a full disk."""
        if self.directory.is_dir():
            for path in self.directory.iterdir():
                if LEFTOVER.fullmatch(path.name):
                    _remove(path)

    def _give_up(self, step: int, problem: str) -> str:
        """Clean up after a failed save; returns a sentence about it."""
        self.finish()  # what is still being written is no leftover
        if is_first():
            with contextlib.suppress(OSError):
                self._remove_leftovers()
        kept = self.latest
        remains = "no earlier one exists" if kept is None else f"that of step {kept} is kept"
        return f"the checkpoint of step {step} could not be saved ({problem}); {remains}"


def _check_space(folder: Path, tree: Tree) -> None:
    """Raise unless there is room for `tree`: on a full disk, orbax's threads print tracebacks.

    Raises:
        OSError: says how much there is and how much is needed.
    """
    leaves = [leaf for leaf in jax.tree.leaves(tree) if leaf.is_fully_addressable]
    needed = sum(leaf.nbytes + BYTES_PER_LEAF for leaf in leaves) + BYTES_PER_CHECKPOINT
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            f"No space left on device: {folder.parent} has {free / 2**20:.1f} MiB free, "
            f"{needed / 2**20:.1f} MiB are needed"
        )


def _listed(damaged: Mapping[int, str]) -> str:
    return "; ".join(f"step {step}: {reason}" for step, reason in damaged.items())


def _abstract(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)


def _remove(path: Path) -> None:
    """Remove a folder, a file or a link, if it is there; what a link leads to stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0].strip()[:200] if lines else type(error).__name__
