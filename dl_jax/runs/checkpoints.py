"""Checkpoints that are whole or not used: saved by orbax, with a digest of every array."""

import contextlib
import hashlib
import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from dl_jax.errors import RunError
from dl_jax.paths import path_names
from dl_jax.runs.configuration import differences
from dl_jax.types import Tree

logging.getLogger("absl").setLevel(logging.ERROR)  # orbax reports every file it touches


class Restored(NamedTuple):
    """What a checkpoint held, the step that it was saved at, and what was wrong with newer ones."""

    step: int
    tree: Tree
    damaged: list[str]


class Checkpoints:
    """The checkpoints in one directory.

    Saving goes on in the background. A checkpoint that cannot be saved (a full disk) is reported
    and the ones before it stay; one that is found damaged is moved aside and the one before it is
    restored.
    """

    def __init__(
        self, directory: Path, keep: int = 2, config: Mapping[str, Any] | None = None
    ) -> None:
        """Open `directory`, keeping the newest `keep` checkpoints in it.

        `config` is written into each, and only a checkpoint with the same one is restored.
        """
        self.directory = directory.absolute()
        self.keep = keep
        self.config = dict(config or {})
        self.directory.mkdir(parents=True, exist_ok=True)
        self._pending: int | None = None
        self._manager = self._open()

    def _open(self) -> ocp.CheckpointManager:
        options = ocp.CheckpointManagerOptions(
            max_to_keep=self.keep, cleanup_tmp_directories=True, enable_async_checkpointing=True
        )
        return ocp.CheckpointManager(self.directory, options=options)

    @property
    def latest(self) -> int | None:
        """Step of the newest finished checkpoint."""
        steps = [step for step in self._manager.all_steps() if step != self._pending]
        return max(steps, default=None)

    def save(self, step: int, tree: Tree) -> str | None:
        """Begin to save `tree`; returns why the save before this one failed, if it did.

        The digests are taken here, from the arrays themselves, so that whatever happens to the
        files later is noticed.
        """
        failure = self.finish()
        if step in self._manager.all_steps():
            return failure
        try:
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    tree=ocp.args.StandardSave(tree),
                    digests=ocp.args.JsonSave(_seal(_digests(tree), self.config)),
                ),
                force=True,
            )
            self._pending = step
        except Exception as error:
            return self._give_up(step, error)
        return failure

    def finish(self) -> str | None:
        """Wait for a save under way; returns why it failed, if it did."""
        step, self._pending = self._pending, None
        if step is None:
            return None
        try:
            self._manager.wait_until_finished()
            self._manager.check_for_errors()
        except Exception as error:
            return self._give_up(step, error)
        return None

    def close(self) -> str | None:
        """Finish and let go of the directory; returns why the last save failed, if it did."""
        failure = self.finish()
        self._manager.close()
        return failure

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def restore(self, like: Tree) -> Restored | None:
        """The newest whole checkpoint, in the shapes, types and placement of `like`.

        Returns None where there is none. A damaged one is moved to `damaged-<step>`.

        Raises:
            RunError: a checkpoint holds other shapes or types than `like`, or was written by
                another configuration; or it cannot be read at the moment; or all are damaged. In
                all these cases they are left where they are.
        """
        reasons: dict[int, str] = {}
        restored = None
        for step in sorted(self._steps_on_disk(), reverse=True):
            try:
                restored = step, self._restore_step(step, like)
                break
            except RunError:
                raise
            except Exception as error:
                if _may_pass(error):
                    raise RunError(
                        f"the checkpoint of step {step} in {self.directory} cannot be read now "
                        f"({error}): nothing was changed; see to that, and resume again"
                    ) from error
                reasons[step] = _reason(error)
        if restored is None and reasons:
            raise RunError(
                f"every checkpoint in {self.directory} is damaged ("
                + "; ".join(f"step {step}: {reason}" for step, reason in reasons.items())
                + "): nothing was restored; start a new run under another --name"
            )
        for step in reasons:
            self._set_aside(step)
        if restored is None:
            return None
        damaged = [f"checkpoint of step {s} is damaged ({r})" for s, r in reasons.items()]
        return Restored(*restored, damaged)

    def _restore_step(self, step: int, like: Tree) -> Tree:
        sealed = self._manager.restore(
            step, args=ocp.args.Composite(digests=ocp.args.JsonRestore())
        )["digests"]
        digests = sealed["arrays"]
        if _seal(digests, sealed["config"]) != sealed:
            raise ValueError("the list of digests does not have its own checksum")
        differing = differences(sealed["config"], self.config)
        if differing:
            raise RunError(
                f"the checkpoint of step {step} was written by another configuration: "
                f"{', '.join(differing)}"
            )
        _check_layout(step, digests, like)
        abstract = jax.tree.map(_abstract, like)
        tree = self._manager.restore(
            step, args=ocp.args.Composite(tree=ocp.args.StandardRestore(abstract))
        )["tree"]
        for name, entry in _digests(tree).items():
            if entry != digests[name]:
                raise ValueError(f"the array {name} does not have its checksum")
        return tree

    def _steps_on_disk(self) -> list[int]:
        return [int(path.name) for path in self.directory.iterdir() if path.name.isdigit()]

    def _set_aside(self, step: int) -> None:
        self._manager.close()
        target = self.directory / f"damaged-{step}"
        shutil.rmtree(target, ignore_errors=True)
        (self.directory / str(step)).rename(target)
        self._manager = self._open()

    def _give_up(self, step: int, error: Exception) -> str:
        """Forget a failed save and start afresh, so that the next one can succeed."""
        self._pending = None
        with contextlib.suppress(Exception):  # it reports the same failure once more
            self._manager.close()
        for path in self.directory.glob(f"{step}.orbax-checkpoint-tmp*"):
            shutil.rmtree(path, ignore_errors=True)
        self._manager = self._open()
        kept = self.latest
        what_remains = "no earlier one exists" if kept is None else f"that of step {kept} is kept"
        lines = [line for line in str(error).strip().splitlines() if line] or [type(error).__name__]
        return (
            f"the checkpoint of step {step} could not be saved ({lines[0][:200]}); {what_remains}"
        )


def _host(leaf: Any) -> np.ndarray:
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf)


def _digests(tree: Tree) -> dict[str, dict[str, Any]]:
    """Shape, type and sha256 of every leaf, under its path."""
    entries = {}
    for name, leaf in zip(path_names(tree), jax.tree.leaves(tree), strict=True):
        data = np.ascontiguousarray(_host(leaf))
        digest = hashlib.sha256(data.view(np.uint8).data if data.size else b"").hexdigest()
        entries[name] = {"shape": list(leaf.shape), "dtype": str(leaf.dtype), "sha256": digest}
    return entries


def _seal(digests: Mapping[str, Mapping[str, Any]], config: Mapping[str, Any]) -> dict[str, Any]:
    """The digests and the configuration, with a digest of both."""
    content = {"arrays": dict(digests), "config": dict(config)}
    text = json.dumps(content, sort_keys=True)
    return {**content, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def _reason(error: Exception) -> str:
    """What is wrong with a checkpoint, in a few words."""
    text = str(error).strip()
    if "was not found in the checkpoint" in text or isinstance(
        error, (FileNotFoundError, KeyError)
    ):
        return "files are missing"
    return text.splitlines()[0][:200] if text else type(error).__name__


def _may_pass(error: Exception) -> bool:
    """Whether what went wrong while reading says nothing about the files themselves."""
    passing = ("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "Stale file handle")
    return isinstance(error, (MemoryError, PermissionError)) or any(
        sign in str(error) for sign in passing
    )


def _abstract(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)


def _check_layout(step: int, digests: Mapping[str, Mapping[str, Any]], like: Tree) -> None:
    """Compare shapes and types; orbax would cast a differing type without a word."""
    expected = {
        name: (list(leaf.shape), str(leaf.dtype))
        for name, leaf in zip(path_names(like), jax.tree.leaves(like), strict=True)
    }
    found = {name: (entry["shape"], entry["dtype"]) for name, entry in digests.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise RunError(
                f"the checkpoint of step {step} does not fit this configuration: {name} is "
                f"{_shape_text(found.get(name))} there and {_shape_text(expected.get(name))} here"
            )


def _shape_text(layout: tuple[list[int], str] | None) -> str:
    return "absent" if layout is None else f"{layout[1]}{layout[0]}"
