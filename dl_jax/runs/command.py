"""The command that started this process, and the one that resumes its run."""

import shlex
import sys
from pathlib import Path

PLACES = ("--out", "--name", "--data-dir")


def portable_command() -> str:
    """The present command without paths, which mean something on this machine alone."""
    return shlex.join(["python", *_without(sys.orig_argv[1:], PLACES)])


def resume_command(directory: Path) -> str:
    """The command that resumes the run in `directory`: the present one with `--resume`."""
    arguments = _without(sys.orig_argv[1:], ("--out", "--name"))
    where = ["--out", str(directory.parent), "--name", directory.name]
    return shlex.join([sys.executable or "python", *arguments, *where, "--resume"])


def _without(arguments: list[str], options: tuple[str, ...]) -> list[str]:
    """The arguments without these options and their values, and without `--resume`."""
    kept, skip = [], False
    for argument in arguments:
        if skip:
            skip = False
        elif argument in options:
            skip = True
        elif argument != "--resume" and argument.split("=")[0] not in options:
            kept.append(argument)
    return kept
