"""Range checks of arguments whose values are known while the program is traced.

While `jax.jit` or `jax.vmap` traces, an argument may be a tracer, which has no value yet; a number
from Python or NumPy, or an array that is no tracer, is concrete and can be checked.
"""

from typing import Any

import numpy as np
from jax.core import Tracer

from dl_jax.errors import UsageError, check_range
from dl_jax.types import Scalar


def is_concrete(value: Any) -> bool:
    """Whether `value` is known while the program is traced."""
    return not isinstance(value, Tracer)


def check_concrete(
    field: str,
    value: Scalar,
    *,
    low: float,
    high: float = float("inf"),
    exclusive_low: bool = False,
    exclusive_high: bool = False,
) -> None:
    """Raise unless a concrete `value` is one finite number between the bounds; a tracer passes.

    Raises:
        UsageError: names the field, the value and what is accepted.
    """
    if not is_concrete(value):
        return
    if np.shape(value) != ():
        raise UsageError(f"{field} has shape {np.shape(value)}, expected one number")
    check_range(
        field,
        float(value),
        low=low,
        high=high,
        exclusive_low=exclusive_low,
        exclusive_high=exclusive_high or high == float("inf"),
    )
