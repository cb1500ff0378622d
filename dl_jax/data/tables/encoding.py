"""Features from the columns of a table: standardized numbers and one-hot categories.

Statistics and categories come from the training rows alone.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from dl_jax.data.dataset import Dataset
from dl_jax.data.splits import SPLITS, split_indices
from dl_jax.data.tables.table import Columns, check_column
from dl_jax.errors import UsageError

MAX_CATEGORIES = 256
"""Most categories of a column; more are likely names or keys, not categories."""


class NumericStats(NamedTuple):
    """How a numeric column is standardized.

    mean: of the training rows that have a value.
    std: their standard deviation; 1 for a constant.
    has_missing: whether a training row has no value; a further feature marks those rows.
    """

    mean: float
    std: float
    has_missing: bool


class Encoding(NamedTuple):
    """What `encode` needs to know.

    numeric: name of a numeric column to its statistics.
    categories: name of a categorical column to the categories of the training rows, sorted.
    """

    numeric: dict[str, NumericStats]
    categories: dict[str, tuple[str, ...]]

    @property
    def features(self) -> list[str]:
        """Name of each feature that `encode` gives."""
        names = []
        for name, stats in self.numeric.items():
            names += [name, f"{name} is missing"] if stats.has_missing else [name]
        return names + [f"{name} is {c}" for name, found in self.categories.items() for c in found]


def fit_encoding(columns: Columns) -> Encoding:
    """The encoding of a table, from its training rows.

    Raises:
        UsageError: a categorical column has more than `MAX_CATEGORIES` categories, or the standard
            deviation of a numeric one overflows.
    """
    numeric, categories = {}, {}
    for name, column in columns.items():
        if column.dtype.kind == "U":
            categories[name] = tuple(sorted({*column.tolist()} - {""}))
            if len(categories[name]) > MAX_CATEGORIES:
                raise UsageError(
                    f"column {name!r} has {len(categories[name])} categories, expected numbers, or "
                    f"at most {MAX_CATEGORIES} categories: leave it out"
                )
            continue
        known = column[~np.isnan(column)].astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            mean, std = (known.mean(), known.std()) if known.size else (0.0, 0.0)
        if not np.isfinite([mean, std]).all():
            raise UsageError(
                f"column {name!r} has values up to {abs(known).max():g}, whose mean or standard "
                "deviation overflows: choose another unit"
            )
        numeric[name] = NumericStats(float(mean), float(std) or 1.0, known.size < column.size)
    return Encoding(numeric, categories)


def encode(encoding: Encoding, columns: Columns) -> Float[np.ndarray, "rows features"]:
    """Features of each row, float32.

    A number becomes `(number - mean) / std`; a missing one becomes 0, and 1 in the feature that
    marks missing values, if training rows had any. A category is one-hot; a missing category, or
    one that training rows do not have, is 0 everywhere.

    Raises:
        UsageError: a column is missing, or a feature overflows float32.

    >>> train = {"age": np.array([1.0, 3.0, np.nan]), "kind": np.array(["b", "a", ""])}
    >>> encoding = fit_encoding(train)
    >>> encoding.features
    ['age', 'age is missing', 'kind is a', 'kind is b']
    >>> encode(encoding, {"age": np.array([5.0, np.nan]), "kind": np.array(["a", "c"])}).tolist()
    [[3.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0]]
    """
    parts = []
    for name, (mean, std, has_missing) in encoding.numeric.items():
        column = check_column(columns, name)
        missing = np.isnan(column)
        with np.errstate(over="ignore"):
            standardized = np.where(missing, 0.0, (column - mean) / std).astype(np.float32)
        if not np.isfinite(standardized).all():
            raise UsageError(
                f"column {name!r} has values up to {np.nanmax(abs(column)):g}, beyond float32 once "
                f"standardized with mean {mean:g} and standard deviation {std:g}: correct them"
            )
        parts.append(standardized)
        if has_missing:
            parts.append(missing)
    for name, categories in encoding.categories.items():
        column = check_column(columns, name)
        parts += [column == category for category in categories]
    return np.stack(parts, axis=1).astype(np.float32)


def table_splits(
    columns: Columns,
    target: str,
    name: str = "table",
    *,
    validation_fraction: float = 1 / 12,
    split_seed: int = 0,
) -> dict[str, Dataset]:
    """Disjoint splits of a table, encoded with statistics of the training split alone.

    Args:
        columns: of the whole table.
        target: the column to predict; it must be numeric.
        name: of the datasets.
        validation_fraction: share of the rows held out for validation, after a fifth was held out
            for the test.
        split_seed: chooses which rows are held out.

    Returns:
        Datasets with `features`, float32 `[rows, features]`, and `target`, float32 `[rows]`.

    Raises:
        UsageError: the target is not a column, is categorical, is missing in a row, or has values
            that are equal in float32; there is no other column; or a split would be empty.
    """
    values = check_column(columns, target)
    if values.dtype.kind == "U":
        raise UsageError(f"the target {target!r} is categorical, expected a numeric column")
    missing_rows = np.flatnonzero(np.isnan(values))
    if missing_rows.size:
        raise UsageError(
            f"the target {target!r} is missing in {missing_rows.size} of {values.size} rows, first "
            f"in row {missing_rows[0] + 1}: remove those rows"
        )
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    if not np.isfinite(single).all() or 2 * np.unique(single).size < np.unique(values).size:
        raise UsageError(
            f"the target {target!r} lies between {values.min():g} and {values.max():g}, where "
            "different values are equal in float32: subtract its mean, or choose another unit"
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
