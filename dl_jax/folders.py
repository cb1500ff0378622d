"""Where dl_jax keeps what it can make again: decoded datasets and compiled programs."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$DL_JAX_CACHE`, or `dl_jax` in the user's cache folder (`$XDG_CACHE_HOME`, `~/.cache`)."""
    chosen = os.environ.get("DL_JAX_CACHE")
    if chosen:
        return Path(os.path.expanduser(chosen))
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "dl_jax"
