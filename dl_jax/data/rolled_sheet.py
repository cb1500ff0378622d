"""A sheet rolled up in many dimensions: few numbers say where a point of it lies."""

import numpy as np
from numpy.typing import NDArray

from dl_jax.data.dataset import Dataset
from dl_jax.data.splits import SPLITS
from dl_jax.errors import check_integer, check_range

ANGLES = np.linspace(1.5 * np.pi, 4.5 * np.pi, 10_000)
"""Of the spiral, whose radius is the angle, scaled to 1 at its end."""


def _length(angle: NDArray) -> NDArray:
    """Of the spiral from its center."""
    return (angle * np.sqrt(1 + angle**2) + np.arcsinh(angle)) / 2 / ANGLES[-1]


LENGTHS = _length(ANGLES) - _length(ANGLES)[0]
SHEET = (float(LENGTHS[-1]), 2.0)
"""Length of the sheet, along which it is rolled, and its width."""


def rolled_sheet(
    num_examples: int = 5000, *, dimensions: int = 32, noise: float = 0.01, seed: int = 0
) -> dict[str, Dataset]:
    """All three splits of a two-dimensional sheet that is rolled up in many dimensions.

    The sheet is rolled in three (the Swiss roll) and then turned at random into more. A dataset has
    the features `point`, float32 `[examples, dimensions]`, and `place`, float32 `[examples, 2]`:
    where on the flat sheet each point lies, from 0 to `SHEET` in the units of `point`. Every place
    is as likely.

    Args:
        num_examples: points of each split.
        dimensions: at least 3.
        noise: standard deviation added to each coordinate.
        seed: of the points, and of the turn that all splits have in common.

    Raises:
        UsageError: a number is out of range.

    Source: Tenenbaum, de Silva and Langford (2000), "A global geometric framework for nonlinear
    dimensionality reduction".
    """
    check_integer("num_examples", num_examples, low=1)
    check_integer("dimensions", dimensions, low=3)
    check_range("noise", noise, low=0, high=10)
    check_integer("seed", seed, low=0, high=None)
    turned = np.linalg.qr(np.random.default_rng(seed).normal(size=(dimensions, 3)))[0].T
    splits = {}
    for number, split in enumerate(SPLITS):
        random = np.random.default_rng([seed, number])
        place = random.uniform(0, SHEET, (num_examples, 2))
        angle = np.interp(place[:, 0], LENGTHS, ANGLES)
        roll = np.stack([angle * np.cos(angle), angle * np.sin(angle)], axis=1) / ANGLES[-1]
        sheet = np.concatenate([roll, place[:, 1:] - SHEET[1] / 2], axis=1)
        points = sheet @ turned + random.normal(0, 1, (num_examples, dimensions)) * noise
        arrays = {"point": points.astype(np.float32), "place": place.astype(np.float32)}
        splits[split] = Dataset("rolled_sheet", split, arrays)
    return splits
