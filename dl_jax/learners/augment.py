"""Augmentation of batches from functions of images alone."""

from collections.abc import Callable

import jax
from jaxtyping import Array

from dl_jax.errors import UsageError, nearest
from dl_jax.types import Batch, PRNGKey


def augment_images(*functions: Callable[..., Array], name: str = "image") -> Callable[..., Batch]:
    """`augment(batch, key=key)` that changes the images of a batch and nothing else.

    Args:
        functions: `f(images, key=key) -> images`, applied in turn, each with a key of its own, such
            as `dl_jax.functional.random_horizontal_flip`.
        name: of the images in a batch.
    """

    def augment(batch: Batch, *, key: PRNGKey) -> Batch:
        if name not in batch:
            raise UsageError(
                f"a batch has no images {name!r}, its arrays are {', '.join(sorted(batch))}"
                f"{nearest(name, batch)}"
            )
        images = batch[name]
        for function, own_key in zip(functions, jax.random.split(key, len(functions)), strict=True):
            images = function(images, key=own_key)
        return {**batch, name: images}

    return augment
