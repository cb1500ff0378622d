"""What a supervised learner requires of a batch."""

import jax.numpy as jnp

from dl_jax.errors import UsageError, nearest
from dl_jax.types import Batch


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
