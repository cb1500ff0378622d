"""Numbers from the columns of a table, by what was learned from its training rows alone."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from dl_jax.data.dataset import Dataset
from dl_jax.data.splits import SPLITS, split_indices
from dl_jax.data.tables.table import Columns, check_column
from dl_jax.errors import UsageError

MAX_CATEGORIES = 256


class Numbers(NamedTuple):
    """How a column of numbers is standardized.

    mean: of the training rows that have a value.
    deviation: their standard deviation, 1 of a constant.
    gaps: whether a further feature marks the rows without a value.
    """

    mean: float
    deviation: float
    gaps: bool


class Encoding(NamedTuple):
    """What `encode` needs to know.

    numbers: name of a column of numbers to its standardization.
    words: name of a column of words to those of the training rows, sorted.
    """

    numbers: dict[str, Numbers]
    words: dict[str, tuple[str, ...]]

    @property
    def features(self) -> list[str]:
        """Name of each feature that `encode` gives."""
        names = []
        for name, (_, _, gaps) in self.numbers.items():
            names += [name, f"{name} is missing"] if gaps else [name]
        return names + [f"{name} is {w}" for name, words in self.words.items() for w in words]


def fit_encoding(columns: Columns) -> Encoding:
    """The encoding of a table, from its training rows.

    Raises:
        UsageError: a column of words has more different ones than 256.
    """
    numbers, words = {}, {}
    for name, column in columns.items():
        if column.dtype.kind == "U":
            words[name] = tuple(sorted({*column.tolist()} - {""}))
            if len(words[name]) > MAX_CATEGORIES:
                raise UsageError(
                    f"column {name!r} holds {len(words[name])} different words, expected numbers, "
                    f"or at most {MAX_CATEGORIES}: leave it out"
                )
            continue
        known = column[~np.isnan(column)].astype(np.float64)
        mean, deviation = (known.mean(), known.std()) if known.size else (0.0, 0.0)
        numbers[name] = Numbers(float(mean), float(deviation) or 1.0, known.size < column.size)
    return Encoding(numbers, words)


def encode(encoding: Encoding, columns: Columns) -> Float[np.ndarray, "rows features"]:
    """Features of each row, float32.

    A number becomes `(number - mean) / deviation`, a missing one 0, the mean, with a 1 in the
    feature that marks gaps if training rows had any. A word becomes a 1 in its own feature and
    0 in those of the column's other words; one that is missing, or that training rows never had,
    is 0 in all.

    >>> train = {"age": np.array([1.0, 3.0, np.nan]), "kind": np.array(["b", "a", ""])}
    >>> encoding = fit_encoding(train)
    >>> encoding.features
    ['age', 'age is missing', 'kind is a', 'kind is b']
    >>> encode(encoding, {"age": np.array([5.0, np.nan]), "kind": np.array(["a", "c"])}).tolist()
    [[3.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0]]
    """
    parts = []
    for name, (mean, deviation, gaps) in encoding.numbers.items():
        column = check_column(columns, name)
        missing = np.isnan(column)
        parts.append(np.where(missing, 0.0, (column - mean) / deviation))
        if gaps:
            parts.append(missing)
    for name, words in encoding.words.items():
        column = check_column(columns, name)
        parts += [column == word for word in words]
    return np.stack(parts, axis=1).astype(np.float32)


def table_splits(
    columns: Columns,
    target: str,
    name: str = "table",
    *,
    validation_fraction: float = 1 / 12,
    split_seed: int = 0,
) -> dict[str, Dataset]:
    """Disjoint splits of a table, encoded by what the training split alone shows.

    They are datasets as any other: `fit` draws shuffled batches of them, and
    `evaluation_batches` visits each row once.

    Args:
        columns: of the whole table.
        target: the column to be predicted, one of numbers.
        name: of the datasets.
        validation_fraction: share of the training rows held out, after a fifth for the test.
        split_seed: chooses which are held out.

    Returns:
        Datasets with `features`, float32 `[rows, features]`, and `target`, float32 `[rows]`.

    Raises:
        UsageError: the target is not a column, holds words, is missing in a row, or has values
            that float32 cannot tell apart; there is no other column; or a split would be empty.
    """
    values = check_column(columns, target)
    if values.dtype.kind == "U":
        raise UsageError(f"the target {target!r} is a column of words, expected one of numbers")
    gaps = np.flatnonzero(np.isnan(values))
    if gaps.size:
        raise UsageError(
            f"the target {target!r} is missing in {gaps.size} of {values.size} rows, first in row "
            f"{gaps[0] + 1}: remove those rows"
        )
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    if not np.isfinite(single).all() or 2 * np.unique(single).size < np.unique(values).size:
        raise UsageError(
            f"the target {target!r} lies between {values.min():g} and {values.max():g}, where "
            "float32 cannot tell its values apart: take off its mean, or give it another unit"
        )
    if len(columns) < 2:
        raise UsageError(f"the table has no column but the target {target!r} to predict it from")
    missing = ("validation", "test")
    rows = split_indices(values.size, missing, validation_fraction, split_seed)
    others = {key: column for key, column in columns.items() if key != target}
    encoding = fit_encoding({key: column[rows["train"]] for key, column in others.items()})
    features = encode(encoding, others)
    arrays = {"features": features, "target": single}
    whole = Dataset(name, "all", arrays)
    return {split: whole.subset(rows[split], split) for split in SPLITS}
