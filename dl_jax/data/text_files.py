"""Texts in files, one by one or in folders."""

from collections.abc import Collection
from pathlib import Path

from dl_jax.errors import UsageError


def files_in(path: Path, suffixes: Collection[str] = ()) -> list[Path]:
    """A file, or those of a folder that are not hidden, in the order of their names.

    Args:
        path: of the file or folder.
        suffixes: endings of what counts in a folder, such as `.abc`, in small letters; any if
            there are none.

    Raises:
        UsageError: there is none.
    """
    if path.is_file():
        return [path]
    inside = (
        each
        for each in path.rglob("*")
        if each.is_file() and (not suffixes or each.suffix.lower() in suffixes)
    )
    files = sorted(
        each for each in inside if not any(part[0] == "." for part in each.relative_to(path).parts)
    )
    if not files:
        wanted = f"files that end in {' or '.join(suffixes)}" if suffixes else "texts"
        kind = "such " if suffixes else ""
        raise UsageError(f"the folder {str(path)!r} has no {kind}files, expected {wanted}")
    return files


def read_text(path: Path) -> str:
    """The text of a file in UTF-8.

    Raises:
        UsageError: it cannot be read, is not UTF-8, or is empty.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"the text {path} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the text {path} is not in UTF-8 ({error.reason} at byte {error.start}): convert it"
        ) from error
    if not text.strip():
        raise UsageError(f"the text {path} is empty: remove it, or choose another")
    return text
