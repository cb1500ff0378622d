"""Tunes in ABC notation, which are texts.

A file holds many tunes, each of which begins with a line such as `X: 12`.
"""

import re
from pathlib import Path

from dl_jax.data.text_files import files_in, read_text
from dl_jax.errors import UsageError

SUFFIX = ".abc"
BEGIN = re.compile(r"^X:", re.MULTILINE)


def read_tunes(path: Path) -> list[str]:
    """The tunes of an ABC file, or of all files of a folder that end in `.abc`.

    A tune reaches from its line `X:` to the next one. It ends with one empty line, so that tunes
    that are written one after the other make a file again. What stands before the first is ignored.

    Raises:
        UsageError: the folder has no such files; or a file cannot be read, is not UTF-8, or has no
            tune.
    """
    return [tune for each in files_in(path, (SUFFIX,)) for tune in _tunes(each)]


def _tunes(path: Path) -> list[str]:
    text = read_text(path)
    begins = [found.start() for found in BEGIN.finditer(text)]
    if not begins:
        raise UsageError(
            f"the ABC file {path} has no tune, expected lines such as 'X: 1', with which tunes "
            "begin: add them, or remove the file"
        )
    stops = [*begins[1:], len(text)]
    return [text[begin:stop].rstrip() + "\n\n" for begin, stop in zip(begins, stops, strict=True)]
