"""Numbers of several replicas, as they stand in `result.json` and in print."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def mean_and_std(values: Any) -> dict[str, Any]:
    """Mean, standard deviation (of a sample; 0 of one value), and the values themselves.

    What is not finite is None among the values, left out of mean and deviation, and counted as
    `diverged` where there is any. The mean of nothing is None.
    """
    values = np.ravel(values)
    finite = values[np.isfinite(values)]
    std = finite.std(ddof=1) if finite.size > 1 else 0.0
    mean = float(finite.mean()) if finite.size else None
    listed = [value if np.isfinite(value) else None for value in values.tolist()]
    found = {"mean": mean, "std": float(std), "values": listed}
    lost = values.size - finite.size
    return {**found, "diverged": lost} if lost else found


def format_mean_std(summary: Mapping[str, Any], form: str = ".4f") -> str:
    """A result of `mean_and_std` as text: mean ± standard deviation, of one value it alone.

    Those that diverged are counted.

    >>> format_mean_std(mean_and_std([0.5, 0.7])), format_mean_std(mean_and_std([0.5]), ".2f")
    ('0.6000 ± 0.1414', '0.50')
    >>> format_mean_std(mean_and_std([0.5, 0.7, float("nan")]), ".2f")
    '0.60 ± 0.14 (1 of 3 diverged)'
    """
    if summary["mean"] is None:
        return "diverged"
    if summary.get("diverged"):
        rest = [value for value in summary["values"] if value is not None]
        lost = f" ({summary['diverged']} of {len(summary['values'])} diverged)"
        return format_mean_std({**summary, "values": rest, "diverged": 0}, form) + lost
    if len(summary["values"]) == 1:
        return f"{summary['mean']:{form}}"
    return f"{summary['mean']:{form}} ± {summary['std']:{form}}"
