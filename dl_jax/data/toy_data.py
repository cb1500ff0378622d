"""Which points a script trains on, as a configuration."""

from dataclasses import dataclass
from typing import Literal

from dl_jax.data.dataset import Dataset
from dl_jax.data.toy import toy_splits
from dl_jax.errors import check_integer, check_range


@dataclass(frozen=True)
class ToyData:
    """Points in the plane with two labels."""

    dataset: Literal["xor", "swiss_roll", "spirals", "moons", "circles", "blobs"] = "swiss_roll"
    """Toy problem."""
    examples: int = 1000
    """Points in each of the three splits."""
    noise: float = 0.02
    """Standard deviation of the noise added to each coordinate."""

    def __post_init__(self) -> None:
        check_integer("examples", self.examples, low=1, high=1_000_000)
        check_range("noise", self.noise, low=0, high=10)

    def load(self) -> dict[str, Dataset]:
        """The splits `train`, `validation` and `test`.

        Raises:
            UsageError: there is no such problem.
        """
        return toy_splits(self.dataset, self.examples, noise=self.noise)
