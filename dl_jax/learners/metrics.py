"""Metrics as sums and counts, so that merging batches of any size is exact."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Shaped

from dl_jax.types import Leaf


@struct.dataclass
class Metrics:
    """For each name, the sum of a value over examples or tokens, and their number.

    The mean over a dataset is the sum of sums over the sum of counts, so that each example (or
    token) weighs the same, also in a smaller last batch.
    """

    sums: Mapping[str, Leaf]  # float [*replicas]
    counts: Mapping[str, Leaf]  # int [*replicas]

    @classmethod
    def of(
        cls,
        values: Mapping[str, Float[Array, "batch ..."]],
        *masks: Shaped[Array, "batch ..."] | None,
    ) -> "Metrics":
        """Sums and counts of values per example or per token, where no mask is 0.

        Args:
            values: by name; `[batch]`, or `[batch, time]` and so on.
            masks: `[batch]`, for whole examples, or with as many of the values' first axes as they
                have; None is no mask.

        Raises:
            ValueError: the shape of a mask is not that of the first axes of the values.
        """
        sums, counts = {}, {}
        for name, value in values.items():
            chosen = None
            for mask in masks:
                if mask is None:
                    continue
                shape = jnp.shape(mask)
                if not shape or shape != value.shape[: len(shape)]:
                    raise ValueError(
                        f"mask has shape {shape}, expected that of {name}, {value.shape}, or of "
                        "its first axes"
                    )
                counted = (mask != 0).reshape(*shape, *[1] * (value.ndim - len(shape)))
                counted = jnp.broadcast_to(counted, value.shape)
                chosen = counted if chosen is None else chosen & counted
            counts[name] = jnp.asarray(value.size) if chosen is None else chosen.sum()
            # `where`, not a product: 0 * nan would poison the sum.
            sums[name] = (value if chosen is None else jnp.where(chosen, value, 0)).sum()
        return cls(sums, counts)

    def merge(self, other: "Metrics") -> "Metrics":
        """The metrics of the union of both sets of examples."""
        return jax.tree.map(lambda a, b: a + b, self, other)

    def beside(self, other: "Metrics") -> "Metrics":
        """The values of both, which have different names: of the same examples."""
        return Metrics({**self.sums, **other.sums}, {**self.counts, **other.counts})

    def on_host(self) -> "Metrics":
        """The same metrics in numpy, sums in float64, so that further merging loses nothing."""
        sums = {name: np.asarray(value, np.float64) for name, value in self.sums.items()}
        counts = {name: np.asarray(value, np.int64) for name, value in self.counts.items()}
        return Metrics(sums, counts)

    def means(self) -> dict[str, np.ndarray]:
        """Mean of each value, for every replica; NaN where nothing was counted."""
        host = self.on_host()
        with np.errstate(invalid="ignore", divide="ignore"):
            return {
                name: np.asarray(host.sums[name] / host.counts[name]) for name in sorted(host.sums)
            }
