"""Writing figures to disk."""

import os
from pathlib import Path

from matplotlib.figure import Figure

DOTS_PER_INCH = 150


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure as PNG at 150 dots per inch, and return its path.

    The write is atomic: a temporary file is renamed. Missing folders are created, and an existing
    file is replaced.

    Raises:
        ValueError: the name does not end in `.png`.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"the figure's path is {path}, expected a name that ends in .png")
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        figure.savefig(draft, format="png", dpi=DOTS_PER_INCH)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path
