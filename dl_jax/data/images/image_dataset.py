"""Labeled images as a dataset."""

from dataclasses import dataclass

from dl_jax.data.dataset import Dataset


@dataclass(frozen=True)
class ImageDataset(Dataset):
    """Labeled images of one split.

    `arrays` holds `image`, uint8 `[examples, height, width, channels]`, and `label`, int32
    `[examples]`.

    Attributes:
        classes: names of the labels, in order.
    """

    classes: tuple[str, ...]

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image, `(height, width, channels)`."""
        return tuple(self.arrays["image"].shape[1:])
