"""The figure of the data, with which every report begins."""

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.figure import Figure

from dl_jax import plots
from dl_jax.data import SPLITS, Dataset
from dl_jax.errors import UsageError, nearest

MAX_CLASSES = 10_000


def data_figure(data: Mapping[str, Dataset], targets: str = "label") -> Callable[[], Figure]:
    """A function that draws how the targets are distributed in each split.

    One class index per example gives examples per class; other targets give a histogram. The legend
    counts the examples of each split.

    Args:
        data: datasets by split.
        targets: name of the targets in them.

    Raises:
        UsageError: there are no targets of that name.
    """
    names = list(data["train"].arrays)
    if targets not in names:
        raise UsageError(
            f"targets is {targets!r}, expected one of {', '.join(names)}{nearest(targets, names)}"
        )
    splits = [split for split in SPLITS if split in data]

    def draw() -> Figure:
        values = {split: np.asarray(data[split].arrays[targets][:]) for split in splits}
        if not all(_are_labels(v) for v in values.values()):
            floats = {split: v.ravel().astype(np.float32) for split, v in values.items()}
            return plots.target_histogram(floats)
        classes = 1 + max(int(v.max(initial=0)) for v in values.values())
        classes = getattr(data["train"], "classes", [str(label) for label in range(classes)])
        counts = {split: np.bincount(v, minlength=len(classes)) for split, v in values.items()}
        return plots.class_counts(counts, classes)

    return draw


def _are_labels(values: np.ndarray) -> bool:
    """Whether targets are one class index per example, of a number of classes that can be drawn."""
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer):
        return False
    return bool(values.min(initial=0) >= 0 and values.max(initial=0) < MAX_CLASSES)
