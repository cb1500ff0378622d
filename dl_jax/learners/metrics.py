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
    """For each name, the sum of a value over examples, and the number of examples.

    The mean over a dataset is the sum of sums over the sum of counts, so that each example weighs
    the same, also in a smaller last batch.
    """

    sums: Mapping[str, Leaf]  # float [*replicas]
    counts: Mapping[str, Leaf]  # int [*replicas]

    @classmethod
    def of(
        cls,
        values: Mapping[str, Float[Array, " batch"]],
        mask: Shaped[Array, " batch"] | None = None,
    ) -> "Metrics":
        """Sums and counts of per-example values, over the examples whose `mask` is not 0.

        Raises:
            ValueError: the mask has another shape than the values.
        """
        sums, counts = {}, {}
        for name, value in values.items():
            if mask is not None and jnp.shape(mask) != value.shape:
                raise ValueError(
                    f"mask has shape {jnp.shape(mask)}, expected that of {name}: {value.shape}"
                )
            counts[name] = jnp.asarray(value.size) if mask is None else (mask != 0).sum()
            # `where`, not a product: 0 * nan would poison the sum.
            sums[name] = (value if mask is None else jnp.where(mask != 0, value, 0)).sum()
        return cls(sums, counts)

    def merge(self, other: "Metrics") -> "Metrics":
        """The metrics of the union of both sets of examples."""
        return jax.tree.map(lambda a, b: a + b, self, other)

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
