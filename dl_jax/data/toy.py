"""Points in the plane with two labels, drawn from a formula: problems that can be looked at."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dl_jax.data.dataset import Dataset
from dl_jax.errors import check_choice, check_range

Draw = Callable[[np.random.Generator, int], tuple[NDArray, NDArray]]


def xor(random: np.random.Generator, count: int) -> tuple[NDArray, NDArray]:
    """A square whose quarters, a little apart, have alternating labels: no line parts them."""
    points = random.choice([-1, 1], (count, 2)) * random.uniform(0.08, 1, (count, 2))
    return points, points[:, 0] * points[:, 1] < 0


def swiss_roll(random: np.random.Generator, count: int) -> tuple[NDArray, NDArray]:
    """One spiral, its inner winding of one label and its outer winding of the other."""
    turn = np.sqrt(random.uniform(0.04, 1, count))  # as many points on each length
    angle = 4 * np.pi * turn
    return turn[:, None] * _directions(angle), turn > np.sqrt(0.52)


def spirals(random: np.random.Generator, count: int) -> tuple[NDArray, NDArray]:
    """Two spirals, one inside the other."""
    labels = random.integers(0, 2, count)
    turn = np.sqrt(random.uniform(0.02, 1, count))
    return turn[:, None] * _directions(3 * np.pi * turn + np.pi * labels), labels


def moons(random: np.random.Generator, count: int) -> tuple[NDArray, NDArray]:
    """Two half circles that reach into each other."""
    labels = random.integers(0, 2, count)
    angle = random.uniform(0, np.pi, count) + np.pi * labels
    centers = np.where(labels[:, None] == 1, [0.5, 0.25], [-0.5, -0.25])
    return 0.6 * _directions(angle) + 0.6 * centers, labels


def circles(random: np.random.Generator, count: int) -> tuple[NDArray, NDArray]:
    """A circle around another."""
    labels = random.integers(0, 2, count)
    radius = np.where(labels == 1, 0.4, 0.9)
    return radius[:, None] * _directions(random.uniform(0, 2 * np.pi, count)), labels


def blobs(random: np.random.Generator, count: int) -> tuple[NDArray, NDArray]:
    """Two clouds that a line parts almost."""
    labels = random.integers(0, 2, count)
    centers = np.where(labels[:, None] == 1, [0.4, 0.4], [-0.4, -0.4])
    return random.normal(centers, 0.22), labels


TOYS: dict[str, Draw] = {
    "xor": xor, "swiss_roll": swiss_roll, "spirals": spirals, "moons": moons,
    "circles": circles, "blobs": blobs,
}  # fmt: skip
STREAMS = {"train": 0, "validation": 1, "test": 2}


def toy(
    name: str, split: str, num_examples: int = 1000, *, noise: float = 0.02, seed: int = 0
) -> Dataset:
    """Points of one split of a toy problem, in `[-1, 1]` or a little beyond.

    Args:
        name: `xor`, `swiss_roll`, `spirals`, `moons`, `circles` or `blobs`.
        split: `train`, `validation` or `test`; each is drawn anew.
        num_examples: number of points.
        noise: standard deviation of what is added to each coordinate, after the label was given.
        seed: of all splits.

    Returns:
        A dataset with the features `point`, float32 `[examples, 2]`, and `label`, 0 or 1.

    Raises:
        UsageError: an unknown name or split, a negative noise, or no examples.
    """
    check_choice("dataset", name, TOYS)
    check_choice("split", split, STREAMS)
    check_range("num_examples", num_examples, low=1)
    check_range("noise", noise, low=0)
    random = np.random.default_rng([seed, STREAMS[split], sorted(TOYS).index(name)])
    points, labels = TOYS[name](random, num_examples)
    points = points + random.normal(0, 1, points.shape) * noise
    arrays = {"point": points.astype(np.float32), "label": labels.astype(np.int32)}
    return Dataset(name, split, arrays)


def toy_splits(name: str, num_examples: int = 1000, **options) -> dict[str, Dataset]:
    """All three splits, each of so many points; the options are those of `toy`."""
    return {split: toy(name, split, num_examples, **options) for split in STREAMS}


def _directions(angle: NDArray) -> NDArray:
    """Unit vectors `[count, 2]`."""
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)
