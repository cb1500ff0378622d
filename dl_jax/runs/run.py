"""The directory of a run: its metrics, its checkpoints, its figures and its parts."""

import contextlib
import json
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from numpy.typing import ArrayLike

from dl_jax.errors import UsageError
from dl_jax.manifest import file_digest, text_digest, write_atomically
from dl_jax.processes import from_first
from dl_jax.runs.command import resume_command
from dl_jax.runs.description import MODEL_FILE, description
from dl_jax.runs.files import cannot_write, check_kind, is_draft
from dl_jax.runs.lock import LOCK_FILE
from dl_jax.runs.options import MAX_NAME_LENGTH
from dl_jax.runs.rows import Rows, line, plain_row, read_rows

CONFIG_FILE = "config.json"
PART_FILE = "part.json"
RECORDS = (CONFIG_FILE, PART_FILE, MODEL_FILE, LOCK_FILE)
"""Files of a run that has not begun."""


@dataclass
class Run:
    """One run's directory, open for writing.

    Attributes:
        directory: its absolute path.
        resumed: whether it held a run before.
        config: the values that determine the result; checkpoints carry them.
        tensorboard: whether events are written beside `metrics.jsonl`.
        whole: the run that this one is a part of, if it is one: that is what a command resumes.
        writes: whether this process writes; of several that train together, the first alone.
        trained: whether `fit` has come to its end here, in this process.
    """

    directory: Path
    resumed: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)
    tensorboard: bool = False
    whole: "Run | None" = None
    writes: bool = True
    trained: bool = field(default=False, repr=False)
    _described: set[str] = field(default_factory=set, repr=False)
    _parts: dict[str, "Run"] = field(default_factory=dict, repr=False)
    _next_row: int | None = field(default=None, repr=False)
    _events: Any = field(default=None, repr=False)

    @property
    def metrics_file(self) -> Path:
        """One JSON object a line: step, epoch, split, and the mean of each metric per replica."""
        return self.directory / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Directory of checkpoints."""
        return self.directory / "checkpoints"

    @property
    def figures(self) -> Path:
        """Directory of figures, made on first use."""
        path = self.directory / "figures"
        if self.writes:
            with self.writing(path):
                path.mkdir(exist_ok=True)
            check_kind(path, stat.S_ISDIR)
        return path

    def part(self, name: str) -> "Run":
        """A run of its own in a folder within this one, resumed where that is there already.

        The folder has the name in lower case, with `_` for what is neither a letter or digit of
        any alphabet nor one of `+-=.,`; the whole name is in its `part.json`.

        Raises:
            UsageError: the folder has another part, or something else; or the name has no letter
                or digit, or is too long.
        """
        directory = self.directory / _part_folder(name)
        if name in self._parts:
            return self._parts[name]
        resumed = from_first(lambda: self._open_part(name, directory))
        config = {**self.config, "part": name}
        self._parts[name] = Run(directory, resumed, config, self.tensorboard, self, self.writes)
        return self._parts[name]

    def _open_part(self, name: str, directory: Path) -> bool:
        """Make the folder of a part, or find it there; whether it was."""
        with self.writing(directory):
            directory.mkdir(exist_ok=True)
            taken_by = _part_name(directory)
            if taken_by is None and not all(is_draft(path) for path in directory.iterdir()):
                raise UsageError(f"{directory} is no part of a run: rename the part {name!r}")
            if taken_by not in (None, name):
                raise UsageError(
                    f"the parts {taken_by!r} and {name!r} of a run would share the folder "
                    f"{directory}: rename one"
                )
            if taken_by is None:
                write_atomically(directory / PART_FILE, json.dumps({"part": name}) + "\n")
        return taken_by is not None

    def describe(
        self,
        model: str,
        arguments: Mapping[str, Any],
        *,
        files: Mapping[str, str] = MappingProxyType({}),
        statistics: tuple[ArrayLike, ArrayLike] | None = None,
        compute_dtype: str = "float32",
        part: str | None = None,
    ) -> None:
        """Write `model.json`, from which `load_run` makes the trained network again.

        Args:
            model: name of a function in `dl_jax.models`, such as `mlp`.
            arguments: of that function: plain values, as JSON has them.
            files: what the model cannot do without, such as a vocabulary: the content of files in
                this directory, by name. They are written here.
            statistics: mean and std of each channel, if images are standardized before the model.
            compute_dtype: the type that the model computes in, after the standardization.
            part: which of the learner's parameters are the model's, if it trains several networks:
                the key in `params` and `model_state`.

        Raises:
            UsageError: there is no such model, its arguments are not accepted or not plain; or a
                run that is resumed was trained with other files.
            RunError: the disk is full or a file cannot be written.
        """
        self._described |= set(files)

        def written() -> None:
            record = description(model, arguments, files, statistics, compute_dtype, part)
            for name, text in files.items():
                self._keep(self.directory / name, text)
            with self.writing(self.directory / MODEL_FILE):
                write_atomically(self.directory / MODEL_FILE, json.dumps(record, indent=2) + "\n")

        from_first(written)

    def _keep(self, path: Path, text: str) -> None:
        """Write a file of the model, or find it there as it has to be."""
        with self.writing(path):
            if self.resumed and path.exists() and file_digest(path) != text_digest(text):
                raise UsageError(
                    f"{path} is not what the present data give: the run was trained with other "
                    "data; bring those back, or begin a new run under another --name"
                )
            write_atomically(path, text)

    @property
    def resume_command(self) -> str:
        """The command that resumes this run."""
        return resume_command((self.whole or self).directory)

    @contextlib.contextmanager
    def writing(self, path: Path) -> Iterator[None]:
        """Turns an OSError of writing `path`, which belongs to this run, into a RunError.

        Raises:
            RunError: names the file, what is wrong, and the command that resumes.
        """
        try:
            yield
        except OSError as error:
            raise cannot_write(path, error, self.resume_command) from error

    def sample(self, step: int, suffix: str = ".txt") -> Path:
        """Where a sample of what was trained until `step` is written: `samples/000250.txt`.

        Args:
            step: of the state that the sample is of.
            suffix: what tells samples of the same step apart, and their kind.

        Raises:
            RunError: the folder cannot be made.
        """
        path = self.directory / "samples" / f"{step:06}{suffix}"
        if self.writes:
            with self.writing(path.parent):
                path.parent.mkdir(exist_ok=True)
        return path

    def write_text(self, path: Path, text: str) -> None:
        """Write a text file of this run, if this process writes.

        What is no character, such as half of one that a network wrote, is written as its number.

        Raises:
            RunError: the disk is full or the file cannot be written.
        """
        if self.writes:
            with self.writing(path):
                path.write_text(text, encoding="utf-8", errors="backslashreplace")

    def log(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Append one row to `metrics.jsonl`, and return it as it was written.

        Args:
            row: with `step`, `epoch`, `split`, `seconds`, and values or arrays of metrics.

        Raises:
            RunError: the disk is full or the file cannot be written.
        """
        plain = plain_row(row)
        if not self.writes:
            return plain
        if self._next_row is None:
            self._next_row = self._read().next_number
        with self.writing(self.metrics_file), self.metrics_file.open("a") as file:
            file.write(line(self._next_row, plain))
        self._next_row += 1
        if self.tensorboard:
            with self.writing(self.directory):
                self._log_events(plain)
        return plain

    def history(self, up_to_step: int | None = None) -> list[dict[str, Any]]:
        """The rows logged so far.

        With `up_to_step`, rows of later steps, and lines that are no rows, such as a last one that
        a crash cut short, are also removed from the file: a resumed run writes them again. If rows
        before that are lost, that is printed.
        """
        rows = self._read()
        if up_to_step is not None:
            rows = rows.up_to(up_to_step)
            if not self.writes:
                return list(rows.by_number.values())
            if rows.missing:
                print(f"{rows.missing} rows of {self.metrics_file} are missing", flush=True)
            if self.metrics_file.exists():
                with self.writing(self.metrics_file):
                    write_atomically(self.metrics_file, rows.text())
            self._next_row = rows.next_number
        return list(rows.by_number.values())

    def _read(self) -> Rows:
        check_kind(self.metrics_file, stat.S_ISREG)
        if not self.metrics_file.exists():
            return Rows({})
        with self.writing(self.metrics_file):
            return read_rows(self.metrics_file)

    @property
    def began(self) -> bool:
        """Whether there is anything in the directory beside the records of its opening."""
        return any(
            not stat.S_ISDIR(path.lstat().st_mode)
            for path in self.directory.rglob("*")
            if path.name not in (*RECORDS, *self._described) and not is_draft(path)
        )

    def discard(self) -> None:
        """Remove the directory of a run that was opened here and never began."""
        if self.resumed or not self.writes or self.began:
            return
        shutil.rmtree(self.directory, ignore_errors=True)
        if self.whole:
            self.whole.discard()

    def clear_results(self) -> None:
        """Remove what an earlier end of this run left, for it is trained again."""
        if not self.writes:
            return
        with self.writing(self.directory / "result.json"):
            (self.directory / "result.json").unlink(missing_ok=True)
        shutil.rmtree(self.directory / "figures", ignore_errors=True)

    def _log_events(self, row: Mapping[str, Any]) -> None:
        if self._events is None:
            # A resumed run writes its later events again: readers drop the old ones.
            self._events = summary_writer()(str(self.directory), purge_step=row["step"])
        for name, value in row.items():
            if name in ("step", "split") or value is None:
                continue
            values = value if isinstance(value, list) else [value]
            for replica, v in enumerate(values):
                suffix = f"/replica{replica}" if len(values) > 1 else ""
                if v is not None:
                    self._events.add_scalar(f"{row['split']}/{name}{suffix}", v, row["step"])
        self._events.flush()


def summary_writer() -> Any:
    """TensorBoard's writer of events.

    Raises:
        UsageError: tensorboardX is not installed.
    """
    try:
        from tensorboardX import SummaryWriter  # slow to import, and optional
    except ImportError as error:
        raise UsageError(
            "--tensorboard needs tensorboardX: pip install -e '.[tensorboard]'"
        ) from error
    return SummaryWriter


def _part_folder(name: str) -> str:
    folder = re.sub(r"[^\w+\-=.,]+", "_", name.lower()).strip("_").lstrip(".")
    if not re.search(r"[^\W_]", folder) or folder in ("checkpoints", "figures"):
        raise UsageError(
            f"a part of a run is named {name!r}, expected a letter or digit in the name, and "
            "neither 'checkpoints' nor 'figures'"
        )
    if len(folder.encode()) > MAX_NAME_LENGTH:
        raise UsageError(
            f"the name of a part of a run has {len(name)} characters, expected at most "
            f"{MAX_NAME_LENGTH}: {name[:40]!r}..."
        )
    return folder


def _part_name(directory: Path) -> str | None:
    try:
        record = json.loads((directory / PART_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError:
        return ""  # damaged: of no part that can be named
    return str(record.get("part", "")) if isinstance(record, dict) else ""
