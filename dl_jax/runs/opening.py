"""Opening the directory of a run: a new one, or one to resume."""

import contextlib
import json
import os
import stat
import time
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import Any

from dl_jax.configuration import changes, determining, differences, plain
from dl_jax.errors import UsageError
from dl_jax.manifest import write_atomically
from dl_jax.processes import from_first
from dl_jax.runs.command import portable_command, resume_command
from dl_jax.runs.environment import describe_environment
from dl_jax.runs.files import cannot_write, check_kind, is_draft
from dl_jax.runs.lock import LOCK_FILE, lock
from dl_jax.runs.options import RunOptions
from dl_jax.runs.run import CONFIG_FILE, Run, summary_writer

TIME_FORMAT = "%Y-%m-%dT%H:%M:%S%z"

_opened: ContextVar[list[Run] | None] = ContextVar("opened", default=None)


@contextlib.contextmanager
def unbegun_removed() -> Iterator[None]:
    """While entered, an exception removes runs that were opened and never began.

    Their names are free again then.
    """
    opened: list[Run] = []
    token = _opened.set(opened)
    try:
        yield
    except BaseException:
        for run in opened:
            run.discard()
        raise
    finally:
        _opened.reset(token)


def open_run(experiment: str, config: Any, options: RunOptions) -> Run:
    """The directory of a new run, or of one to resume.

    A new directory never replaces one that is there. `config.json` holds the configuration, the
    environment and the command. The directory is this process's alone while it runs; of several
    processes that train together, the first opens it, and the others write nothing.

    Args:
        experiment: name that directories begin with, `mnist_cnn`.
        config: a dataclass of all that determines the result; its field `run` does not.
        options: where to put it, and whether to resume.

    Raises:
        UsageError: the name is taken; or there is nothing to resume; or what is there was run
            with another configuration, whose differing fields the message names; or another
            process is running in it.
        RunError: `config.json` cannot be written.
    """
    opened: list[Run] = []

    def open_first() -> list[Any]:
        opened.append(_open(experiment, config, options))
        return [str(opened[0].directory), opened[0].resumed]

    directory, resumed = from_first(open_first)
    if opened:
        return opened[0]
    return Run(Path(directory), resumed, determining(config), writes=False)


def _open(experiment: str, config: Any, options: RunOptions) -> Run:
    if options.tensorboard:
        summary_writer()
    out = _absolute(options.out)
    if options.resume:
        existing = out / options.name if options.name else _newest(out, experiment)
        if existing is None:
            raise UsageError(f"there is no run of {experiment} in {out} to resume")
        if os.path.exists(existing / CONFIG_FILE):
            return _opened_as(_reopen(existing, experiment, config, options))
    directory = _make_directory(out, experiment, options)
    run = _opened_as(Run(directory, False, determining(config), options.tensorboard))
    lock(directory)
    _write_record(
        directory,
        {
            "experiment": experiment,
            "config": plain(config),
            "environment": describe_environment(),
            "command": portable_command(),
            "started": time.strftime(TIME_FORMAT),
        },
    )
    return run


def _opened_as(run: Run) -> Run:
    opened = _opened.get()
    if opened is not None:
        opened.append(run)
    return run


def _reopen(directory: Path, experiment: str, config: Any, options: RunOptions) -> Run:
    """A run to resume; a changed environment, or a field that may change, is said and recorded."""
    lock(directory)
    record = _record(directory)
    if record["experiment"] != experiment:
        raise UsageError(
            f"{directory} holds a run of {record['experiment']!r}, not of {experiment}: choose "
            "another --name"
        )
    changed = changes(record["config"], config)
    refused = [str(change) for change in changed if not change.allowed]
    if refused:
        raise UsageError(
            f"{directory} was run with another configuration: {', '.join(refused)}; give the same "
            "values to resume it, or start a new run without --resume"
        )
    for path in (directory / "metrics.jsonl", directory / "result.json"):
        check_kind(path, stat.S_ISREG)
    check_kind(directory / "figures", stat.S_ISDIR)
    for path in directory.rglob(".*"):
        if is_draft(path) and not path.is_dir():
            with contextlib.suppress(OSError):
                path.unlink()
    sessions = record.setdefault("resumed", [])
    before = sessions[-1]["environment"] if sessions else record["environment"]
    environment = describe_environment()
    elsewhere = differences(before, environment)
    if elsewhere:
        print(f"resuming in another environment: {', '.join(map(str, elsewhere))}", flush=True)
    if changed:
        print(f"resuming with {', '.join(map(str, changed))}", flush=True)
    if elsewhere or changed:
        session = {"started": time.strftime(TIME_FORMAT), "environment": environment}
        if changed:
            session["changed"] = [str(change) for change in changed]
        sessions.append(session)
        _write_record(directory, {**record, "config": plain(config)})
    return Run(directory, True, determining(config), options.tensorboard)


def _record(directory: Path) -> dict[str, Any]:
    """What `config.json` holds.

    Raises:
        UsageError: it cannot be read, or is not of a run.
    """
    path = directory / CONFIG_FILE
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ValueError("it is not a file")
        record = json.loads(path.read_text(encoding="utf-8"))
        _check_record(record)
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(
            f"{path} cannot be used ({reason}): choose another --name, or remove that directory"
        ) from error
    return record


def _check_record(record: Any) -> None:
    kinds = {"experiment": str, "config": dict, "environment": dict, "started": str}
    whole = (
        isinstance(record, dict)
        and all(isinstance(record.get(name), kind) for name, kind in kinds.items())
        and isinstance(record.get("resumed", []), list)
        and all(
            isinstance(session, dict) and isinstance(session.get("environment"), dict)
            for session in record.get("resumed", [])
        )
    )
    if not whole:
        raise ValueError("it is not of a run of dl_jax")
    datetime.strptime(record["started"], TIME_FORMAT)


def _write_record(directory: Path, record: dict[str, Any]) -> None:
    path = directory / CONFIG_FILE
    try:
        write_atomically(path, json.dumps(record, indent=2) + "\n")
    except OSError as error:
        raise cannot_write(path, error, resume_command(directory)) from error


def _absolute(out: Path) -> Path:
    try:
        return out.expanduser().absolute()
    except RuntimeError as error:  # a user who does not exist
        raise UsageError(f"out is '{out}': {error}; choose another --out") from error


def _make_directory(out: Path, experiment: str, options: RunOptions) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
        if options.name is not None:
            directory = out / options.name
            directory.mkdir(exist_ok=options.resume and _holds_nothing(directory))
            return directory
        stem = f"{experiment}-{time.strftime('%Y%m%d-%H%M%S')}"
        for suffix in range(1, 1000):
            directory = out / (stem if suffix == 1 else f"{stem}-{suffix}")
            try:
                directory.mkdir()
            except FileExistsError:  # another run began in the same second
                continue
            return directory
        raise UsageError(f"{out} already holds 999 runs named {stem}")
    except FileExistsError as error:
        taken = f"{error.filename} already exists"
        if options.resume:
            raise UsageError(f"{taken} and holds no run: choose another --name") from error
        raise UsageError(
            f"{taken}: choose another --name, or add --resume to resume that run"
        ) from error
    except OSError as error:
        raise UsageError(
            f"the run's directory cannot be made in {out} ({error.strerror}): choose another --out"
        ) from error


def _holds_nothing(directory: Path) -> bool:
    """Whether a run was killed there before its configuration was written."""
    return directory.is_dir() and all(
        path.name == LOCK_FILE or is_draft(path) for path in directory.iterdir()
    )


def _newest(out: Path, experiment: str) -> Path | None:
    """The last started run of an experiment."""
    found = []
    for path in out.glob(f"*/{CONFIG_FILE}"):
        try:
            record = _record(path.parent)
        except UsageError:  # not the directory of a run
            continue
        if record["experiment"] == experiment:
            started = datetime.strptime(record["started"], TIME_FORMAT)
            found.append((started, path.parent.name, path.parent))
    return max(found)[-1] if found else None
