"""Where a run lives and what it runs on."""

import re
from dataclasses import dataclass
from pathlib import Path

from dl_jax.errors import UsageError

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]*"
MAX_NAME_LENGTH = 255


@dataclass(frozen=True)
class RunOptions:
    """Where a run lives and what it runs on; none of it changes the result."""

    out: Path = Path("runs")
    """Folder that holds the directories of runs."""
    name: str | None = None
    """Name of the run's directory; the experiment and the time where it is not given."""
    resume: bool = False
    """Resume the run `name` (the newest of this experiment where no name is given); a `name` that
    does not exist yet is started, so that a requeued job can keep its command."""
    require: str | None = None
    """Backend that the run must have: cpu, gpu or tpu."""
    tensorboard: bool = False
    """Write TensorBoard events too (needs the extra `tensorboard`)."""

    def __post_init__(self) -> None:
        if self.name is not None:
            _check_name(self.name)
        if self.require not in (None, "cpu", "gpu", "tpu"):
            raise UsageError(f"require is {self.require!r}, expected cpu, gpu or tpu")


def _check_name(name: str) -> None:
    if not re.fullmatch(NAME_PATTERN, name) or ".." in name:
        raise UsageError(
            f"name is {name!r}, expected letters, digits, '.', '_' and '-', starting with a letter "
            "or digit and without '..': it names one directory under --out"
        )
    if len(name) > MAX_NAME_LENGTH:
        raise UsageError(
            f"name has {len(name)} characters, expected at most {MAX_NAME_LENGTH}: choose a "
            "shorter --name"
        )
