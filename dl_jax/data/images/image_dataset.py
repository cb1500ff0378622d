"""Labeled images as a dataset."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dl_jax.data.dataset import Dataset
from dl_jax.errors import UsageError, check_choice, check_range


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

    def only(self, classes: Sequence[str]) -> "ImageDataset":
        """The examples of some classes, which are numbered anew, in the order given.

        Raises:
            UsageError: there are none, one is named twice, or there is no such class.
        """
        if not classes or len(set(classes)) < len(classes):
            raise UsageError(f"classes are {tuple(classes)}, expected different ones, at least one")
        old = [self.classes.index(check_choice("class", name, self.classes)) for name in classes]
        labels = np.asarray(self.arrays["label"][:])
        renumbered = np.full(self.num_classes, -1, np.int32)
        renumbered[old] = np.arange(len(old))
        chosen = self.subset(np.flatnonzero(renumbered[labels] >= 0))
        arrays = {**chosen.arrays, "label": renumbered[np.asarray(chosen.arrays["label"][:])]}
        return replace(chosen, arrays=arrays, classes=tuple(classes))

    def fraction(self, share: float, seed: int = 0) -> "ImageDataset":
        """A random share of the examples of each class, rounded; another seed chooses others.

        Raises:
            UsageError: the share is not in (0, 1], or leaves a class without examples.
        """
        check_range("the fraction of labels", share, low=0, high=1, exclusive_low=True)
        labels, rng = np.asarray(self.arrays["label"][:]), np.random.default_rng(seed)
        chosen = []
        for label, name in enumerate(self.classes):
            of = np.flatnonzero(labels == label)
            count = round(share * len(of))
            if not count:
                raise UsageError(
                    f"a fraction of {share:g} of the labels leaves the class {name!r} of "
                    f"{self.name!r} without examples, it has {len(of)}: choose a larger one"
                )
            chosen.append(rng.permutation(of)[:count])
        return self.subset(np.sort(np.concatenate(chosen)))
