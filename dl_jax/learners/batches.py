"""Batches: what a learner requires of one, masked examples, and cutting into microbatches."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Shaped

from dl_jax.errors import UsageError, nearest
from dl_jax.types import Batch, Tree


def check_batch(batch: Batch, inputs: str, targets: str) -> None:
    """Raise unless a batch has inputs and targets of as many examples, and a mask to fit.

    Raises:
        UsageError: a name is missing, an array has another number of examples than the targets, or
            the mask is not of shape `[batch]`.
    """
    for role, name in (("inputs", inputs), ("targets", targets)):
        if name not in batch:
            raise UsageError(
                f"a batch has no {role} {name!r}, its arrays are {', '.join(sorted(batch))}"
                f"{nearest(name, batch)}"
            )
    shapes = {name: jnp.shape(batch[name]) for name in (inputs, targets, "mask") if name in batch}
    examples = shapes[targets][:1]
    fits = examples and all(shape[:1] == examples for shape in shapes.values())
    if not fits or shapes.get("mask", examples) != examples:
        listed = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
        raise UsageError(
            f"a batch has arrays of shapes {listed}, expected the same number of examples first"
            f"{', and a mask [batch]' if 'mask' in shapes else ''}"
        )


def batch_size(batch: Batch) -> int:
    """Number of examples in a batch."""
    return jax.tree.leaves(batch)[0].shape[0]


def blanked(batch: Batch) -> Batch:
    """`batch` with zeros in the examples whose mask is 0.

    Their loss is masked already, but in the gradient 0 * nan is nan: their values must be finite.
    """
    if "mask" not in batch:
        return batch

    def blank(array: Shaped[Array | np.ndarray, "batch ..."]) -> Shaped[Array, "batch ..."]:
        counts = (batch["mask"] != 0).reshape(-1, *[1] * (array.ndim - 1))
        return jnp.where(counts, array, jnp.zeros_like(array))

    return {name: blank(array) for name, array in batch.items()}


def split_batch(tree: Tree, parts: int) -> Tree:
    """Arrays `[batch, ...]` as `[parts, batch / parts, ...]`.

    Raises:
        UsageError: the parts do not divide the batch.
    """

    def split(array: Array) -> Array:
        if array.shape[0] % parts:
            raise UsageError(
                f"a batch of {array.shape[0]} examples cannot be split into {parts} equal "
                "microbatches: make the batch size a multiple"
            )
        return array.reshape(parts, -1, *array.shape[1:])

    return jax.tree.map(split, tree)
