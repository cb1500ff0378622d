"""Layers of two tasks are compared at the same share of their trainings."""

import numpy as np

from dl_jax.data import ImageData
from experiments.vision.layers import LAYERS, figures_of


def test_a_task_of_fewer_images_has_fewer_steps():
    random = np.random.default_rng(0)
    # Two seeds that have learned the same.
    same, other = (
        {name: np.tile(random.normal(size=(40, 3)), (2, 1, 1)) for name in LAYERS} for _ in range(2)
    )
    found = {"first": {50: other, 100: same}, "second": {30: same, 60: same}}
    figures = figures_of(found, np.arange(40) % 4, ImageData("digits").load())
    (axes,) = figures["alignment"]().axes
    for line in axes.get_lines()[: len(LAYERS)]:
        x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        if len(x) == 2:
            np.testing.assert_allclose(x, [0.5, 1])
            assert y[0] < y[1]
