"""Several processes that train one network together: the first decides, the others follow.

Everything here is trivial in a single process. In several, joined by `jax.distributed.initialize`,
each function is to be called by all of them, in the same order.
"""

import json
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from dl_jax.errors import RunError, UsageError

ERRORS = {kind.__name__: kind for kind in (UsageError, RunError)}


def is_first() -> bool:
    """Whether this process is the first, which alone writes files."""
    return jax.process_index() == 0


def from_first(make: Callable[[], Any]) -> Any:
    """What `make()` gives in the first process, in all of them: a plain value, as JSON has it.

    Raises:
        UsageError, RunError: `make` raised one in the first process; in the others, a RunError
            stands for any other exception.
    """
    if jax.process_count() == 1:
        return make()
    answer = {}
    if is_first():
        try:
            answer = {"value": make()}
        except (UsageError, RunError) as error:
            answer = {"error": type(error).__name__, "message": str(error)}
        except Exception as error:
            _broadcast(json.dumps({"error": "RunError", "message": str(error)}).encode())
            raise
    answer = json.loads(_broadcast(json.dumps(answer).encode()))
    if "error" in answer:
        raise ERRORS[answer["error"]](answer["message"])
    return answer["value"]


def greatest(value: int) -> int:
    """The largest of the numbers that the processes have."""
    if jax.process_count() == 1:
        return value
    from jax.experimental import multihost_utils  # slow to import

    return int(multihost_utils.process_allgather(np.int32(value)).max())


def wait_for_all(where: str) -> None:
    """Wait until all processes are here."""
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(where)


def _broadcast(content: bytes) -> bytes:
    """The first process's bytes: their number first, because all must give one shape."""
    from jax.experimental import multihost_utils

    length = int(multihost_utils.broadcast_one_to_all(np.int32(len(content))))
    padded = np.zeros(length, np.uint8)
    padded[: len(content[:length])] = np.frombuffer(content[:length], np.uint8)
    return multihost_utils.broadcast_one_to_all(padded).tobytes()
