"""Generated color images: ten shapes, each on a texture, that only their form tells apart."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dl_jax.data.images.image_dataset import ImageDataset
from dl_jax.data.images.source import ImageSize

EXAMPLES = 6000
SIZE = (32, 32)
AREA = (0.08, 0.22)
"""Smallest and largest share of the image that a shape covers, the same for all classes."""
FINE = 400
"""Pixels along a side of the drawing on which the area of a shape is measured."""

Coordinates = NDArray[np.float64]
Shape = Callable[[Coordinates, Coordinates], NDArray[np.bool_]]


def _star(u: Coordinates, v: Coordinates) -> NDArray[np.bool_]:
    """Five points: within each fifth of a turn, the border is a line on either side."""
    angle = np.mod(np.arctan2(u, v), 2 * np.pi / 5) - np.pi / 5
    return np.hypot(u, v) * (np.cos(angle) + 1.3 * (np.sin(np.pi / 5) - np.abs(np.sin(angle)))) < 1


SHAPES: dict[str, Shape] = {
    "bar": lambda u, v: (np.abs(u) < 1) & (np.abs(v) < 0.25),
    "crescent": lambda u, v: (np.hypot(u, v) < 1) & (np.hypot(u - 0.5, v) > 0.8),
    "cross": lambda u, v: (
        (np.minimum(np.abs(u), np.abs(v)) < 0.3) & (np.maximum(np.abs(u), np.abs(v)) < 1)
    ),
    "disk": lambda u, v: np.hypot(u, v) < 1,
    "frame": lambda u, v: (
        (np.maximum(np.abs(u), np.abs(v)) < 1) & (np.maximum(np.abs(u), np.abs(v)) > 0.6)
    ),
    "half disk": lambda u, v: (np.hypot(u, v) < 1) & (v > 0),
    "ring": lambda u, v: (np.hypot(u, v) < 1) & (np.hypot(u, v) > 0.6),
    "square": lambda u, v: np.maximum(np.abs(u), np.abs(v)) < 1,
    "star": _star,
    "triangle": lambda u, v: (v > -0.5) & (v + np.sqrt(3) * np.abs(u) < 1),
}
"""Name of each class to what is inside of the shape, which lies in [-1, 1] x [-1, 1]."""


def shapes(image_size: ImageSize | None = None) -> ImageDataset:
    """6,000 images `[32, 32, 3]` of ten classes: bar, crescent, cross, disk, frame and so on.

    The shape has a random place, direction and size; its area is drawn alike for all classes. Shape
    and background have random colors and textures of their own. So the colors of an image, and how
    often each occurs, say nothing of its class.

    Always the same images; another size is drawn, not scaled.
    """
    rng = np.random.default_rng(0)
    height, width = image_size or SIZE
    labels = np.arange(EXAMPLES, dtype=np.int32) % len(SHAPES)
    inside = _placed(rng, labels, height, width)
    front, back = (_textures(rng, EXAMPLES, height, width) for _ in range(2))
    images = np.where(inside[..., None], front, back)
    arrays = {"image": np.clip(np.round(images), 0, 255).astype(np.uint8), "label": labels}
    return ImageDataset("shapes", "all", arrays, tuple(SHAPES))


def _placed(
    rng: np.random.Generator, labels: NDArray[np.int32], height: int, width: int
) -> NDArray[np.bool_]:
    """Which pixels of each image lie in its shape, `[examples, height, width]`."""
    count, side = len(labels), min(height, width)
    grid = np.linspace(-1, 1, FINE)
    fine = np.meshgrid(grid, grid)
    share = np.array([4 * inside(*fine).mean() for inside in SHAPES.values()])
    scale = np.sqrt(rng.uniform(*AREA, count) / share[labels])  # in sides of the image
    angle = rng.uniform(0, 2 * np.pi, count)
    middle = rng.uniform(0.35, 0.65, (2, count))
    u, v = np.empty((2, count, height, width))
    rows = ((np.arange(height) + 0.5) / side)[:, None]
    columns = ((np.arange(width) + 0.5) / side)[None, :]
    for i in range(count):
        y, x = rows - middle[0, i] * height / side, columns - middle[1, i] * width / side
        u[i] = (np.cos(angle[i]) * x + np.sin(angle[i]) * y) / scale[i]
        v[i] = (np.cos(angle[i]) * y - np.sin(angle[i]) * x) / scale[i]
    placed = np.empty(u.shape, bool)
    for label, inside in enumerate(SHAPES.values()):
        of = labels == label
        placed[of] = inside(u[of], v[of])
    return placed


def _textures(rng: np.random.Generator, count: int, height: int, width: int) -> NDArray[np.float32]:
    """A random color, waves of a random length and direction, and noise: `[count, H, W, 3]`."""
    color = rng.uniform(40, 215, (count, 1, 1, 3)).astype(np.float32)
    angle, phase = rng.uniform(0, 2 * np.pi, (2, count, 1, 1)).astype(np.float32)
    cycles = rng.uniform(2, 8, (count, 1, 1)).astype(np.float32)
    y = np.linspace(0, 1, height, dtype=np.float32)[None, :, None]
    x = np.linspace(0, 1, width, dtype=np.float32)[None, None, :]
    wave = np.sin(2 * np.pi * cycles * (np.cos(angle) * x + np.sin(angle) * y) + phase)
    strength = rng.uniform(5, 30, (count, 1, 1, 3)).astype(np.float32)
    noise = rng.standard_normal((count, height, width, 3), dtype=np.float32)
    return color + strength * wave[..., None] + 8 * noise
