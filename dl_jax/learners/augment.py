"""Augmentation of batches, from functions of images and of their targets."""

from collections.abc import Callable
from functools import partial

import jax

from dl_jax.errors import UsageError, check_integer, nearest
from dl_jax.functional import alternating_flip
from dl_jax.types import Array, Batch, Count, PRNGKey


def augment_images(*functions: Callable[..., Array], name: str = "image") -> Callable[..., Batch]:
    """`augment(batch, key=key)` that changes the images of a batch and nothing else.

    Args:
        functions: `f(images, key=key) -> images`, applied in turn, each with a key of its own, such
            as `dl_jax.functional.random_horizontal_flip`.
        name: of the images in a batch.
    """

    def changed(function: Callable[..., Array], batch: Batch, *, key: PRNGKey) -> Batch:
        return {**batch, name: function(_array(batch, name), key=key)}

    return augment_all(*(partial(changed, function) for function in functions))


def augment_all(*augments: Callable[..., Batch]) -> Callable[..., Batch]:
    """`augment(batch, key=key)` that applies several in turn, each with a key of its own."""

    def augment(batch: Batch, *, key: PRNGKey) -> Batch:
        for one, own_key in zip(augments, jax.random.split(key, len(augments)), strict=True):
            batch = one(batch, key=own_key)
        return batch

    return augment


def flip_every_other_epoch(seed: Count = 0, *, name: str = "image") -> Callable[..., Batch]:
    """`dl_jax.functional.alternating_flip` of the images of a batch, as an augmentation."""

    def augment(batch: Batch, *, key: PRNGKey) -> Batch:
        del key
        index, epoch = _array(batch, "index"), _array(batch, "epoch")
        return {**batch, name: alternating_flip(_array(batch, name), index, epoch, seed=seed)}

    return augment


def mix_images(
    function: Callable[..., tuple[Array, Array]],
    num_classes: Count,
    *,
    inputs: str = "image",
    targets: str = "label",
) -> Callable[..., Batch]:
    """`augment(batch, key=key)` that mixes images, whose labels become distributions over classes.

    Args:
        function: `f(images, targets, key=key) -> (images, targets)`, such as
            `dl_jax.functional.mixup`.
        num_classes: that labels count; or the labels are distributions already.
        inputs: name of the images in a batch.
        targets: name of the labels in a batch.

    Raises:
        UsageError: `num_classes` is not a positive integer.
    """
    num_classes = int(num_classes)
    check_integer("num_classes", num_classes, low=1)

    def augment(batch: Batch, *, key: PRNGKey) -> Batch:
        labels = _array(batch, targets)
        distributions = jax.nn.one_hot(labels, num_classes) if labels.ndim == 1 else labels
        images, mixed = function(_array(batch, inputs), distributions, key=key)
        return {**batch, inputs: images, targets: mixed}

    return augment


def _array(batch: Batch, name: str) -> Array:
    if name not in batch:
        raise UsageError(
            f"a batch has no array {name!r}, its arrays are {', '.join(sorted(batch))}"
            f"{nearest(name, batch)}"
        )
    return batch[name]
