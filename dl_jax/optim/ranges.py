"""Ranges of rates and decays, which are numbers or, in a sweep, traced."""

import numpy as np
from jax.core import Tracer

from dl_jax.errors import UsageError, check_range
from dl_jax.types import Scalar

INFINITY = float("inf")


def check_concrete(
    field: str,
    value: Scalar,
    *,
    low: float,
    high: float = INFINITY,
    exclusive_low: bool = False,
    exclusive_high: bool | None = None,
) -> None:
    """Raise unless `low <= value <= high` or `value` is traced; infinity is refused.

    Raises:
        UsageError: names the field, the value and what is accepted.
    """
    if isinstance(value, Tracer):
        return
    if np.shape(value) != ():
        raise UsageError(f"{field} has shape {np.shape(value)}, expected one number")
    open_above = high == INFINITY if exclusive_high is None else exclusive_high
    check_range(
        field,
        float(value),
        low=low,
        high=high,
        exclusive_low=exclusive_low,
        exclusive_high=open_above,
    )
