"""The command line of an experiment: every field an option, every mistake one sentence."""

import contextlib
import io
import itertools
import os
import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, NoReturn, TypeVar

import tyro

from dl_jax.compilation import keep_compiled_programs
from dl_jax.errors import RunError, UsageError, nearest
from dl_jax.runs.environment import describe_devices, processor_name, require_backend
from dl_jax.runs.interruption import Interrupted, ending_at_once

C = TypeVar("C")


def launch(config_class: type[C], main: Callable[[C], None]) -> None:
    """Read the command line into `config_class` and call `main` with it.

    The class is a frozen dataclass of documented fields, one of which is `run: RunOptions`.

    Exit codes: 0 done; 1 the run failed; 2 what was asked for cannot be done; 75 stopped by
    SIGTERM and saved; 130 stopped by Ctrl-C.
    """
    try:
        with ending_at_once():
            config: Any = parse(config_class)
            require_backend(config.run.require)
            keep_compiled_programs()
            print(f"running on {describe_devices()} ({processor_name()})", flush=True)
            main(config)
    except (UsageError, RunError, Interrupted) as error:
        _end(str(error), error.exit_code)
    except BrokenPipeError:  # whoever read the output, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        reason = error.strerror or error
        _end(f"{error.filename or 'a file'} could not be read or written: {reason}", 1)


def parse(config_class: type[C], arguments: list[str] | None = None) -> C:
    """The configuration that the arguments (the command line's where None) describe.

    Raises:
        UsageError: an option is unknown, or a value is not accepted.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            config, unknown = tyro.cli(
                config_class,
                prog=_program(),
                args=arguments,
                return_unknown_args=True,
                config=(tyro.conf.OmitArgPrefixes,),
            )
    except SystemExit as end:
        if not end.code:  # --help
            raise
        raise UsageError(f"{_first_paragraph(said.getvalue())} (--help explains them all)") from end
    if unknown:
        options = _options(config)
        raise UsageError(
            f"option {unknown[0]!r} is unknown{nearest(unknown[0].split('=')[0], options)} "
            "(--help explains them all)"
        )
    return config


def _program() -> str:
    """The command as it was typed: a module, or the path of a script."""
    typed = sys.orig_argv
    return f"python -m {typed[typed.index('-m') + 1]}" if "-m" in typed[:-1] else sys.argv[0]


def _options(config: Any) -> list[str]:
    names = []
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            names += _options(value)
        else:
            names.append("--" + field.name.replace("_", "-"))
    return names


def _first_paragraph(framed: str) -> str:
    """What stands in tyro's frame of an error, up to the first rule across it, as one line."""
    lines = [line.strip(" │─╭╮╰╯|+-") for line in framed.splitlines()[1:]]
    text = itertools.dropwhile(lambda line: not line, lines)
    return " ".join(itertools.takewhile(bool, text)).removeprefix("Error parsing ")


def _end(message: str, exit_code: int) -> NoReturn:
    print(f"error: {message}" if exit_code in (1, 2) else message, file=sys.stderr, flush=True)
    sys.exit(exit_code)
