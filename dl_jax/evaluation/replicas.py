"""What is measured of replicas, one after the other."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np

Name = TypeVar("Name", bound=Hashable)


def measure_replicas(
    measure: Callable[..., Mapping[Name, float]], names: Sequence[Name], *arrays: np.ndarray
) -> dict[Name, np.ndarray]:
    """Numbers of each replica by name, `[replicas]`; NaN of one whose arrays are not all finite.

    So a replica that diverged does not take the others down, whatever is measured.

    Args:
        measure: numbers by name, of the arrays of one replica.
        names: of what `measure` gives.
        arrays: with an axis of replicas in front.

    >>> spread = lambda x: {"mean": x.mean(), "largest": x.max()}
    >>> found = measure_replicas(spread, ["mean", "largest"], np.array([[1.0, 3.0], [np.nan, 0.0]]))
    >>> {name: values.tolist() for name, values in found.items()}
    {'mean': [2.0, nan], 'largest': [3.0, nan]}
    """
    found = {name: np.full(len(arrays[0]), np.nan) for name in names}
    for replica, own in enumerate(zip(*arrays, strict=True)):
        if all(np.isfinite(array).all() for array in own):
            measured = measure(*own)
            for name, values in found.items():
                values[replica] = measured[name]
    return found
