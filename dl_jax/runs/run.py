"""The directory of a run: its configuration, its metrics, its checkpoints and its figures."""

import json
import math
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dl_jax.errors import RunError, UsageError
from dl_jax.manifest import write_atomically
from dl_jax.runs.command import portable_command, resume_command
from dl_jax.runs.configuration import differences
from dl_jax.runs.environment import describe_environment
from dl_jax.runs.lock import LOCK_FILE, lock

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]*"


@dataclass(frozen=True)
class RunOptions:
    """Where a run lives and what it runs on; none of it changes the result."""

    out: Path = Path("runs")
    """Folder that holds the directories of runs."""
    name: str | None = None
    """Name of the run's directory; the experiment and the time where it is not given."""
    resume: bool = False
    """Go on with the run `name` (the newest of this experiment where no name is given); a `name`
    that does not exist yet is started, so that a requeued job can keep its command."""
    data_dir: Path | None = None
    """Folder of prepared TFDS datasets, `$TFDS_DATA_DIR` where it is not given; or of tables."""
    require: str | None = None
    """Backend without which the run shall not start: cpu, gpu or tpu."""
    tensorboard: bool = False
    """Write TensorBoard events too (needs the extra `tensorboard`)."""

    def __post_init__(self) -> None:
        if self.name is not None and (
            not re.fullmatch(NAME_PATTERN, self.name) or ".." in self.name
        ):
            raise UsageError(
                f"name is {self.name!r}, expected letters, digits, '.', '_' and '-', starting "
                "with a letter or digit and without '..': it names one directory under --out"
            )
        if self.require not in (None, "cpu", "gpu", "tpu"):
            raise UsageError(f"require is {self.require!r}, expected cpu, gpu or tpu")


@dataclass
class Run:
    """One run's directory, open for writing.

    Attributes:
        directory: its absolute path.
        resumed: whether it held a run before.
        config: the configuration as `config.json` holds it; checkpoints carry it too.
        tensorboard: whether events are written beside `metrics.jsonl`.
        whole: the run that this one is a part of, if it is one: that is what a command resumes.
    """

    directory: Path
    resumed: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)
    tensorboard: bool = False
    whole: "Run | None" = None
    _events: Any = field(default=None, repr=False)

    @property
    def metrics_file(self) -> Path:
        """One JSON object a line: step, epoch, split, and the mean of each metric for every run."""
        return self.directory / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Directory of checkpoints."""
        return self.directory / "checkpoints"

    @property
    def figures(self) -> Path:
        """Directory of figures, made on first use."""
        path = self.directory / "figures"
        path.mkdir(exist_ok=True)
        return path

    def part(self, name: str) -> "Run":
        """A run of its own in a folder within this one, resumed where that is there already."""
        directory = self.directory / re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
        began = directory.exists()
        directory.mkdir(exist_ok=True)
        return Run(directory, self.resumed and began, self.config, self.tensorboard, self)

    @property
    def resume_command(self) -> str:
        """The command that goes on with this run."""
        return resume_command((self.whole or self).directory)

    def log(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Append one row to `metrics.jsonl`, and return it as it was written.

        Raises:
            RunError: the disk is full or the file cannot be written.
        """
        plain = {name: _plain(value) for name, value in row.items()}
        try:
            with self.metrics_file.open("a") as file:
                file.write(json.dumps(plain) + "\n")
        except OSError as error:
            raise RunError(
                f"{self.metrics_file} cannot be written ({error.strerror}): free some space, then "
                f"continue with: {self.resume_command}"
            ) from error
        if self.tensorboard:
            self._log_events(plain)
        return plain

    def discard(self) -> None:
        """Remove the directory of a run that was opened and never began, nor any part of it."""
        if self.resumed or self.metrics_file.exists() or self.checkpoints.exists():
            return
        shutil.rmtree(self.directory, ignore_errors=True)
        if self.whole and not any(path.is_dir() for path in self.whole.directory.iterdir()):
            self.whole.discard()

    def clear_results(self) -> None:
        """Remove what an earlier end of this run left, for it is trained again."""
        (self.directory / "result.json").unlink(missing_ok=True)
        shutil.rmtree(self.directory / "figures", ignore_errors=True)

    def history(self, up_to_step: int | None = None) -> list[dict[str, Any]]:
        """The rows logged so far.

        With `up_to_step`, rows of later steps, and a last line that a crash cut short, are also
        removed from the file: a resumed run writes them again.
        """
        if not self.metrics_file.exists():
            return []
        rows = []
        for line in self.metrics_file.read_text().splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:  # cut short by a crash
                continue
            if up_to_step is None or row["step"] <= up_to_step:
                rows.append(row)
        if up_to_step is not None:
            write_atomically(self.metrics_file, "".join(json.dumps(row) + "\n" for row in rows))
        return rows

    def _log_events(self, row: Mapping[str, Any]) -> None:
        if self._events is None:
            # A resumed run writes its later events again: readers drop the old ones.
            self._events = _summary_writer()(str(self.directory), purge_step=row["step"])
        for name, value in row.items():
            if name in ("step", "split") or value is None:
                continue
            values = value if isinstance(value, list) else [value]
            for run, v in enumerate(values):
                suffix = f"/run{run}" if len(values) > 1 else ""
                if v is not None:
                    self._events.add_scalar(f"{row['split']}/{name}{suffix}", v, row["step"])
        self._events.flush()


def open_run(experiment: str, config: Any, options: RunOptions) -> Run:
    """The directory of a new run, or of one to go on with.

    A new directory never replaces one that is there. `config.json` holds the configuration, the
    environment and the command. The directory is this process's alone while it runs.

    Args:
        experiment: name that directories begin with, `mnist_cnn`.
        config: a dataclass of all that determines the result; its field `run` does not.
        options: where to put it, and whether to resume.

    Raises:
        UsageError: the name is taken; or there is nothing to resume; or what is there was run
            with another configuration, whose differing fields the message names; or another
            process is running in it.
    """
    if options.tensorboard:
        _summary_writer()
    out = options.out.expanduser().absolute()
    values = {name: value for name, value in asdict(config).items() if name != "run"}
    config = json.loads(json.dumps(values, default=str))
    if options.resume:
        existing = out / options.name if options.name else _newest(out, experiment)
        if existing is None:
            raise UsageError(f"there is no run of {experiment} in {out} to resume")
        if (existing / "config.json").is_file():
            return _reopen(existing, experiment, config, options)
    directory = _make_directory(out, experiment, options)
    lock(directory)
    record = {
        "experiment": experiment,
        "config": config,
        "environment": describe_environment(),
        "command": portable_command(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    write_atomically(directory / "config.json", json.dumps(record, indent=2) + "\n")
    return Run(directory, False, config, options.tensorboard)


def _reopen(
    directory: Path, experiment: str, config: Mapping[str, Any], options: RunOptions
) -> Run:
    """A run to go on with; where its environment has changed, that is said and recorded."""
    lock(directory)
    record = _record(directory)
    if record["experiment"] != experiment:
        raise UsageError(
            f"{directory} holds a run of {record['experiment']}, not of {experiment}: choose "
            "another --name"
        )
    differing = differences(record["config"], config)
    if differing:
        raise UsageError(
            f"{directory} was run with another configuration: {', '.join(differing)}; give the "
            "same values to resume it, or start a new run without --resume"
        )
    sessions = record.setdefault("resumed", [])
    before = sessions[-1]["environment"] if sessions else record["environment"]
    environment = describe_environment()
    changed = differences(before, environment)
    if changed:
        print(f"resuming in another environment: {', '.join(changed)}", flush=True)
        started = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        sessions.append({"started": started, "environment": environment})
        write_atomically(directory / "config.json", json.dumps(record, indent=2) + "\n")
    return Run(directory, True, config, options.tensorboard)


def _record(directory: Path) -> dict[str, Any]:
    """What `config.json` holds.

    Raises:
        UsageError: it cannot be read, or is not of a run.
    """
    path = directory / "config.json"
    try:
        record = json.loads(path.read_text())
        if not {"experiment", "config", "environment", "started"} <= record.keys():
            raise ValueError("it is not of a run of dl_jax")
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(
            f"{path} cannot be used ({error}): choose another --name, or remove that directory"
        ) from error
    return record


def _summary_writer() -> Any:
    try:
        from tensorboardX import SummaryWriter  # slow to import, and optional
    except ImportError as error:
        raise UsageError(
            "--tensorboard needs tensorboardX: pip install -e '.[tensorboard]'"
        ) from error
    return SummaryWriter


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
        raise UsageError(
            f"{error.filename} already exists: choose another --name, or add --resume to go on "
            "with that run"
        ) from error
    except OSError as error:
        raise UsageError(
            f"the run's directory cannot be made in {out} ({error.strerror}): choose another --out"
        ) from error


def _holds_nothing(directory: Path) -> bool:
    """Whether a run was killed there before its configuration was written."""
    return directory.is_dir() and all(
        path.name == LOCK_FILE or path.name.startswith(".config.json.")
        for path in directory.iterdir()
    )


def _newest(out: Path, experiment: str) -> Path | None:
    """The last started run of an experiment."""
    found = []
    for path in out.glob("*/config.json"):
        try:
            record = _record(path.parent)
        except UsageError:  # not the directory of a run
            continue
        if record["experiment"] == experiment:
            found.append((record["started"], path.parent.name, path.parent))
    return max(found)[-1] if found else None


def _plain(value: Any) -> Any:
    """A value as JSON has it: arrays as lists, what is not finite as null."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
