"""Noise, of which generators make examples."""

import numpy as np
from numpy.typing import NDArray

from dl_jax.data.dataset import Dataset
from dl_jax.errors import check_integer


def noise(count: int, latent_dim: int, *, num_classes: int | None = None, seed: int = 0) -> Dataset:
    """`count` normal vectors: `noise`, float32 `[count, latent_dim]`.

    With `num_classes` also `label`, int32 `[count]`: the classes in turn, each as often.

    Raises:
        UsageError: a number is out of range.
    """
    check_integer("count", count, low=1)
    check_integer("latent_dim", latent_dim, low=1)
    check_integer("seed", seed, low=0, high=None)
    drawn = np.random.default_rng(seed).standard_normal((count, latent_dim), np.float32)
    arrays: dict[str, NDArray] = {"noise": drawn}
    if num_classes is not None:
        check_integer("num_classes", num_classes, low=1)
        arrays["label"] = (np.arange(count) % num_classes).astype(np.int32)
    return Dataset("noise", "test", arrays)
