"""Which table a script trains on, as a configuration."""

from dataclasses import dataclass
from pathlib import Path

from dl_jax.configuration import place_only
from dl_jax.data.dataset import Dataset
from dl_jax.data.tables.encoding import table_splits
from dl_jax.data.tables.table import load_table, read_csv
from dl_jax.errors import UsageError


@dataclass(frozen=True)
class TableData:
    """A table with a numeric column to predict."""

    dataset: str = "diabetes"
    """`diabetes` (comes with the installation), `california_housing`, or the path of a CSV file,
    ending in `.csv`."""
    target: str | None = None
    """Column to predict; needed for a CSV file of your own."""
    data_dir: Path | None = place_only(None)
    """Folder that holds `housing.csv`."""

    def __post_init__(self) -> None:
        if self.is_file and self.target is None:
            raise UsageError("target is missing, expected the column of the CSV file to predict")

    @property
    def is_file(self) -> bool:
        """Whether the table is a CSV file, and none known by name."""
        return self.dataset.lower().endswith(".csv")

    def load(self) -> dict[str, Dataset]:
        """The splits `train`, `validation` and `test`, encoded by what the training rows hold.

        Raises:
            UsageError: the table is unknown or cannot be read, or it has no such column.
        """
        if self.is_file:
            columns, target = read_csv(self.dataset), self.target
        else:
            columns, target = load_table(self.dataset, self.data_dir)
        return table_splits(columns, self.target or target or "", Path(self.dataset).stem)
