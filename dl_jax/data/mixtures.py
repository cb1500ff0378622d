"""Mixtures of Gaussians in the plane, whose modes a generator is to cover."""

import numpy as np
from numpy.typing import NDArray

from dl_jax.data.dataset import Dataset
from dl_jax.data.splits import SPLITS
from dl_jax.errors import check_choice, check_integer

MIXTURES = {"eight_gaussians": 0.02, "grid_of_gaussians": 0.05}
"""Standard deviation of each coordinate around a center."""


def mixture_centers(name: str) -> NDArray[np.float32]:
    """The centers, `[modes, 2]`: eight on a circle of radius 2, or 25 on a grid from -4 to 4.

    Args:
        name: `eight_gaussians` or `grid_of_gaussians`.

    Raises:
        UsageError: there is no mixture of this name.

    Source: Metz et al. (2016), arXiv:1611.02163, appendix A, for the circle; Dumoulin et al.
    (2016), arXiv:1606.00704, section 4.3, for the grid.
    """
    check_choice("dataset", name, MIXTURES)
    if name == "eight_gaussians":
        angles = 2 * np.pi * np.arange(8) / 8
        return 2 * np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    places = np.linspace(-4, 4, 5)
    return np.stack(np.meshgrid(places, places), axis=-1).reshape(-1, 2).astype(np.float32)


def mixture_splits(name: str, num_examples: int = 10_000, *, seed: int = 0) -> dict[str, Dataset]:
    """All three splits of a mixture, of `num_examples` points each, every mode as likely.

    A dataset has the features `point`, float32 `[examples, 2]`, and `label`, the mode, int32.

    Args:
        name: as for `mixture_centers`.
        num_examples: points of each split.
        seed: of the points.

    Raises:
        UsageError: there is no mixture of this name, or a number is out of range.
    """
    centers = mixture_centers(name)
    check_integer("num_examples", num_examples, low=1)
    check_integer("seed", seed, low=0, high=None)
    splits = {}
    for number, split in enumerate(SPLITS):
        random = np.random.default_rng([seed, number, len(centers)])
        modes = random.integers(0, len(centers), num_examples).astype(np.int32)
        points = random.normal(centers[modes], MIXTURES[name]).astype(np.float32)
        splits[split] = Dataset(name, split, {"point": points, "label": modes})
    return splits
