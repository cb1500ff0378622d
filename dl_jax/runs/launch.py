"""The command line of an experiment: every field an option, every mistake one sentence."""

import os
import select
import sys
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from typing import Any, NoReturn, TypeVar, get_type_hints

import jax
import tyro

from dl_jax.compilation import keep_compiled_programs
from dl_jax.errors import RunError, UsageError
from dl_jax.runs.environment import describe_devices, processor_name, require_backend
from dl_jax.runs.interruption import Interrupted, ending_at_once
from dl_jax.runs.opening import unbegun_removed
from dl_jax.runs.options import RunOptions
from dl_jax.shape_checks import TypeCheckError, explain

C = TypeVar("C")
SHORT = ("data", "fit", "optimizer", "run")
"""Fields of a script's configuration whose options have no prefix."""


def launch(config_class: type[C], main: Callable[[C], None]) -> None:
    """Read the command line into `config_class` and call `main` with it.

    The class is a frozen dataclass of documented fields, one of which is `run`: RunOptions, or the
    folder of a run to read.

    Exit codes: 0 done; 1 the run failed; 2 what was asked for cannot be done; 75 stopped by
    SIGTERM and saved; 130 stopped by Ctrl-C. What is known to go wrong is one sentence on standard
    error; any other exception keeps its traceback. In all cases, a run that was opened and never
    began is removed, so that its name is free again.
    """
    try:
        with ending_at_once(), unbegun_removed():
            config: Any = parse(config_class)
            if isinstance(config.run, RunOptions):
                require_backend(config.run.require)
            keep_compiled_programs()
            print(f"running on {describe_devices()} ({processor_name()})", flush=True)
            main(config)
    except (UsageError, RunError, Interrupted) as error:
        _end(str(error), error.exit_code)
    except TypeCheckError as error:
        _end(explain(error), UsageError.exit_code)
    except BrokenPipeError:
        if not _output_is_closed():
            raise
        _end("nobody reads the output any more: the run was ended", RunError.exit_code)
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        _end(
            f"out of memory ({_first_line(error)}): make batches, networks or the number of "
            "replicas smaller",
            RunError.exit_code,
        )


def parse(config_class: type[C], arguments: list[str] | None = None) -> C:
    """The configuration that the arguments (the command line's where None) describe.

    Raises:
        SystemExit: an option is unknown, or a value is not accepted: tyro has said so on standard
            error, and the exit code is 2. After --help it is 0.
        UsageError: a value is refused by the configuration itself.
    """
    kind: Any = _with_short_options(config_class)
    parsed = tyro.cli(kind, prog=_program(), args=arguments)
    return config_class(**{f.name: getattr(parsed, f.name) for f in fields(kind)})


def _with_short_options(config_class: Any) -> Any:
    """The class with the configurations that every script has marked for options without prefix.

    Others keep their prefix, so that a script may have several of one kind: `--learning-rate` is
    the `optimizer`'s, `--critic.learning-rate` that of a second one.
    """
    hints = get_type_hints(config_class, include_extras=True)
    marked = [f for f in fields(config_class) if f.name in SHORT and is_dataclass(hints[f.name])]
    options = [f.name for f in fields(config_class) if f not in marked]
    for f in marked:
        options += [inner.name for inner in fields(hints[f.name])]
    twice = sorted({name for name in options if options.count(name) > 1} - set(SHORT))
    if twice:
        raise UsageError(
            f"{config_class.__name__} has two fields for the option --{twice[0]}: rename its own"
        )
    body = {
        "__doc__": config_class.__doc__,
        "__module__": config_class.__module__,
        "__annotations__": {f.name: tyro.conf.OmitArgPrefixes[hints[f.name]] for f in marked},
        **{f.name: _default(f) for f in marked if _default(f) is not MISSING},
    }
    return dataclass(frozen=True)(type(config_class.__name__, (config_class,), body))


def _default(f: Field) -> Any:
    if f.default_factory is not MISSING:
        return field(default_factory=f.default_factory)
    return f.default


def _program() -> str:
    """The command as it was typed: a module, or the path of a script."""
    typed = sys.orig_argv
    return f"python -m {typed[typed.index('-m') + 1]}" if "-m" in typed[:-1] else sys.argv[0]


def _is_out_of_memory(error: Exception) -> bool:
    signs = ("RESOURCE_EXHAUSTED", "Out of memory")
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in signs)


def _output_is_closed() -> bool:
    """Whether standard output is the broken pipe; what is left to write goes nowhere then."""
    try:
        output = sys.stdout.fileno()
    except OSError:  # not a file, as within a notebook
        return False
    poll = select.poll()
    poll.register(output, 0)
    closed = any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    if closed:
        os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return closed


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _end(message: str, exit_code: int) -> NoReturn:
    print(f"error: {message}" if exit_code in (1, 2) else message, file=sys.stderr, flush=True)
    sys.exit(exit_code)
