"""Errors that name the layer in which they happened."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax

from dl_jax.errors import UsageError
from dl_jax.shape_checks import TypeCheckError, explain

NOTE = "in layer "


class LayerError(UsageError):
    """What a layer refused: `layer layer2_0/conv1: ...`."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(path, message)
        self.path, self.message = path, message

    def __str__(self) -> str:
        return f"layer {self.path}: {self.message}"


@contextmanager
def in_layer(name: str) -> Iterator[None]:
    """While entered, operations are traced in the layer's named scope, and errors name the layer.

    Within other layers, their names are joined by slashes. Errors other than those below get the
    path as a note.

    Raises:
        LayerError: instead of a `UsageError`, or of shapes that do not fit.
    """
    try:
        with jax.named_scope(name):
            yield
    except LayerError as error:
        error.path = f"{name}/{error.path}"
        raise
    except UsageError as error:
        raise LayerError(name, str(error)) from error
    except TypeCheckError as error:
        raise LayerError(name, explain(error)) from error
    except Exception as error:
        _note(error, name)
        raise


def _note(error: Exception, name: str) -> None:
    """Put `name` before the path in the error's note, or begin one."""
    notes = getattr(error, "__notes__", [])
    for i, note in enumerate(notes):
        if note.startswith(NOTE):
            notes[i] = f"{NOTE}{name}/{note.removeprefix(NOTE)}"
            return
    error.add_note(f"{NOTE}{name}")
