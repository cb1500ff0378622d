"""Numbers of several replicas, as they stand in `result.json` and in print."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def mean_and_std(values: Any) -> dict[str, Any]:
    """Mean, standard deviation (of a sample; 0 of one value), and the values themselves."""
    values = np.ravel(values)
    std = values.std(ddof=1) if values.size > 1 else 0.0
    return {"mean": float(values.mean()), "std": float(std), "values": values.tolist()}


def format_mean_std(summary: Mapping[str, Any], form: str = ".4f") -> str:
    """A result of `mean_and_std` as text: mean ± standard deviation, of one value it alone.

    >>> format_mean_std(mean_and_std([0.5, 0.7])), format_mean_std(mean_and_std([0.5]), ".2f")
    ('0.6000 ± 0.1414', '0.50')
    """
    if len(summary["values"]) == 1:
        return f"{summary['mean']:{form}}"
    return f"{summary['mean']:{form}} ± {summary['std']:{form}}"
