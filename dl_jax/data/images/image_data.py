"""Which images a script trains on, as a configuration."""

from dataclasses import dataclass
from pathlib import Path

from dl_jax.configuration import place_only
from dl_jax.data.images.image_dataset import ImageDataset
from dl_jax.data.images.load import load_splits
from dl_jax.errors import check_integer


@dataclass(frozen=True)
class ImageData:
    """A dataset of labeled images."""

    dataset: str = "digits"
    """`digits` or `shapes` (they come with the installation), the TFDS name of an image
    classification dataset such as `mnist`, or a folder with images of each class."""
    image_size: tuple[int, int] | None = None
    """Height and width to scale images to, cropped to their middle; required if they differ in
    size."""
    split_seed: int = 0
    """Chooses the examples that are held out for validation (and for the test, if the dataset has
    no test split)."""
    data_dir: Path | None = place_only(None)
    """Folder of prepared TFDS datasets; `$TFDS_DATA_DIR` where it is not given."""
    decode_ahead: bool = place_only(False)
    """Decode images whenever they are needed, ahead of the training step, and not once into the
    cache: for sets that are too large for the disk."""

    def __post_init__(self) -> None:
        check_integer("split_seed", self.split_seed, low=0, high=None)

    def load(self) -> dict[str, ImageDataset]:
        """Its splits `train`, `validation` and `test`.

        Raises:
            UsageError: the dataset is unknown, not prepared or cannot be read.
            RunError: the disk of the cache is full.
        """
        return load_splits(
            self.dataset,
            self.data_dir,
            split_seed=self.split_seed,
            image_size=self.image_size,
            decode_ahead=self.decode_ahead,
        )
