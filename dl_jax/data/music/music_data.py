"""Which music a script trains on, as a configuration."""

from dataclasses import dataclass

from dl_jax.data.dataset import Ordering, contiguous
from dl_jax.data.music.load import Music, load_music
from dl_jax.errors import check_integer


@dataclass(frozen=True)
class MusicData:
    """Pieces of music of several voices."""

    dataset: str = "counterpoint"
    """`counterpoint` (generated), or as ./PATH a JSON file of chorales or a folder of MIDI files
    (the latter with the `music` extra)."""
    window: int = 64
    """Sixteenth steps that a network reads at once; 16 are a bar of four quarters."""
    transpose: int = 0
    """Training pieces are also there up to so many semitones higher and lower; 0 to 11."""
    split_seed: int = 0
    """Chooses the pieces that are held out, unless the file says which."""

    def __post_init__(self) -> None:
        check_integer("window", self.window, low=1)
        check_integer("transpose", self.transpose, low=0, high=11)
        check_integer("split_seed", self.split_seed, low=0, high=None)

    def load(self, ordering: Ordering = contiguous, stride: int | None = None) -> dict[str, Music]:
        """Its splits `train`, `validation` and `test`.

        Args:
            ordering: as for `load_music`.
            stride: as for `load_music`.

        Raises:
            UsageError: the music is unknown or cannot be read.
        """
        return load_music(
            self.dataset,
            steps=self.window,
            transpose=self.transpose,
            split_seed=self.split_seed,
            ordering=ordering,
            stride=stride,
        )
